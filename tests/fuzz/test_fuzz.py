"""Every outcome is a right answer or a gradline error: a few hundred cases here, 20,000 by `make soak`.

`python tests/fuzz/test_fuzz.py mutate_csv 17` runs one case by its module and seed and leaves its file for a look.
"""

import importlib
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

HERE = Path(__file__).parent
if __name__ == "__main__":
    sys.path[:0] = [str(HERE), str(HERE.parent)]

FEW = {"mutate_csv": 60, "mutate_ndjson": 60, "mutate_parquet": 60, "mutate_config": 60, "mutate_model": 300}
MANY = {"mutate_csv": 6_000, "mutate_ndjson": 3_500, "mutate_parquet": 4_000, "mutate_config": 2_500, "mutate_model": 4_000}
AT_ONCE = 250  # cases of a process: a crash of a library costs no more, and is told with the case


def cases(counts, first=0):
    """(module, seed) of so many cases of each kind."""
    return [(name, first + seed) for name, count in counts.items() for seed in range(count)]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", FEW)
def test_every_outcome_is_a_right_answer_or_an_error_of_gradline(kind, tmp_path):
    from outcomes import run

    found = run([(importlib.import_module(kind), seed) for seed in range(FEW[kind])], tmp_path)
    answers = sum(count for word, count in found.items() if word.endswith(("answer", "exit 0", "the same")))
    assert sum(found.values()) == FEW[kind]
    assert answers >= FEW[kind] // 15, found  # the cases are not so damaged that nothing is tried
    assert answers <= FEW[kind] * 9 // 10, found


@pytest.mark.soak
def test_twenty_thousand_cases_each_end_in_a_right_answer_or_an_error_of_gradline(tmp_path):
    waiting, found, faults = cases(MANY, first=1_000), Counter(), []
    while waiting:
        now, waiting = waiting[:AT_ONCE], waiting[AT_ONCE:]
        command = [sys.executable, "-W", "error", __file__, "--many", str(tmp_path)]
        done = subprocess.run(command, input=json.dumps(now), capture_output=True, text=True, timeout=1_800, check=False)
        lines = done.stdout.splitlines()
        if done.returncode or not lines or not lines[-1].startswith("{"):
            faults.append(f"a process ended with {done.returncode} at {lines[-1:]}: {done.stderr[-300:]}")
            continue
        document = json.loads(lines[-1])
        found.update(document["found"])
        faults += document["faults"]
    print("\n" + "\n".join(f"{count:>7,}  {word}" for word, count in sorted(found.items())))
    assert not faults, "\n".join(faults)
    assert sum(found.values()) == sum(MANY.values()) == 20_000


def _many(folder):
    """The cases on stdin, one after the other; the last line says what they came to."""
    from outcomes import Fault, _run, one_database

    found, faults = Counter(), []
    with one_database():
        for name, seed in json.load(sys.stdin):
            print(name, seed, flush=True)
            try:
                found += _run([(importlib.import_module(name), seed)], folder)
            except Fault as fault:
                faults.append(str(fault))
    print(json.dumps({"found": found, "faults": faults}))


if __name__ == "__main__":
    if sys.argv[1] == "--many":
        _many(Path(sys.argv[2]))
    else:
        import tempfile

        import numpy as np

        place = Path(tempfile.mkdtemp())
        print(place)
        print(importlib.import_module(sys.argv[1]).case(np.random.default_rng(int(sys.argv[2])), place))
