"""What the documents show is run."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BLOCKS = [
    (path.name, code)
    for path in (ROOT / "docs/monitors.md",)
    for code in re.findall(r"```python\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)
]


@pytest.mark.filterwarnings("ignore::gradline.errors.GradlineWarning")
@pytest.mark.parametrize(("page", "code"), BLOCKS, ids=[page for page, _ in BLOCKS])
def test_code_in_the_documents_runs(page, code, tmp_path, monkeypatch):
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    found = {}
    exec(compile(code, page, "exec"), found)
    reason, asked = found["model"].stop_reason, found["gl"].StopReason.MONITOR
    assert reason is asked if "StopReason.MONITOR" in code else reason.converged
