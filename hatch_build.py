"""Compiles gradline's kernels (src/gradline/maths/kernels) when it is installed, if there is a C compiler; without one NumPy does their work.

`CC` names the compiler. The library has no Python in it, so that one wheel serves every version of Python on a platform.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FLAGS = ("-std=gnu99", "-O3", "-shared", "-fPIC")
TRUSTED = "GRADLINE_COMPILE"  # 0: do not; 1: fail where it cannot be


class CompileKernels(BuildHookInterface):
    """The hook."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile into the source folder, where an editable install finds the library too."""
        if self.target_name != "wheel" or os.environ.get(TRUSTED) == "0":
            return
        folder = Path(self.root, "src", "gradline", "maths", "kernels")
        source = folder / "kernels.c"
        library = folder / f"kernels-{hashlib.sha256(source.read_bytes()).hexdigest()[:12]}.so"
        if not library.exists() and (problem := compiled(source, library)):
            if os.environ.get(TRUSTED) == "1":
                raise RuntimeError(problem)
            self.app.display_warning(f"gradline's kernels are not compiled, NumPy does their work: {problem}")
            return
        build_data["pure_python"] = False
        build_data["tag"] = "py3-none-" + sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["force_include"][str(library)] = f"gradline/maths/kernels/{library.name}"


def compiled(source: Path, library: Path) -> str | None:
    """What went wrong, if anything did; an older library goes when the new one is there."""
    compiler = os.environ.get("CC") or next((name for name in ("cc", "gcc", "clang") if shutil.which(name)), None)
    if compiler is None or sys.platform == "win32":
        return "there is no C compiler (cc, gcc, clang, or the one that CC names)"
    fresh = library.with_suffix(f".{os.getpid()}")
    try:
        subprocess.run(
            [*shlex.split(compiler), *FLAGS, "-o", str(fresh), str(source)], check=True, capture_output=True, text=True
        )
    except (OSError, subprocess.CalledProcessError) as error:
        return str(getattr(error, "stderr", None) or error).strip().splitlines()[-1]
    for old in library.parent.glob("kernels-*.so"):
        old.unlink()
    fresh.replace(library)
    return None
