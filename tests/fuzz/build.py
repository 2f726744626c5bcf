"""The fuzz targets of the core, built by clang: under sanitizers, or to count lines."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Where a build leaves the targets, in its folder.
FUZZER = "sanitized/core/fuzz"
COVERAGE = "coverage/core/fuzz"
_FLAGS = {
    "fuzz": ("sanitized", "-DGM_SANITIZE=address,undefined"),
    "coverage": ("coverage", "-DGM_COVERAGE=ON"),
}


def tool(name: str) -> str:
    """Find a program of LLVM, with or without Debian's version in its name."""
    for candidate in (f"{name}-14", name):
        if found := shutil.which(candidate):
            return found
    sys.exit(f"{name} is missing: .ci/setup fuzz installs it")


def build(kind: str) -> None:
    """Build all targets of the core: ``fuzz`` or ``coverage``."""
    name, flag = _FLAGS[kind]
    folder = ROOT / "build/fuzz" / name
    tools = Path(sys.executable).parent
    subprocess.run(
        [
            tools / "cmake", "-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={tools}/ninja", "-S", ROOT,
            "-B", folder, f"-DCMAKE_CXX_COMPILER={tool('clang++')}", "-DGM_FUZZ=ON", flag,
            "--log-level=ERROR",
        ],
        check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    jobs = os.environ.get("JOBS") or str(os.cpu_count() or 1)
    subprocess.run([tools / "ninja", "-C", folder, "-j", jobs, "--quiet"], check=True)
