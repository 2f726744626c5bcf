"""Builds the native halves of benchmarks, in build/core."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def build_native(name: str) -> Path:
    """Build one target of bench/native in build/core and return its path."""
    folder = ROOT / "build" / "core"
    tools = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    build = ["cmake", "--build", folder, "--target", name]
    subprocess.run(build, check=True, env=tools, stdout=subprocess.DEVNULL)
    program = folder / name
    return program if program.exists() else folder / f"{name}.so"
