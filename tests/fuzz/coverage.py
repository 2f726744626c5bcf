"""Which lines of the decoders a corpus reaches: llvm-cov for the core, a tracer for Python."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tests.fuzz.build import COVERAGE, tool
from tests.fuzz.targets import CORE, PYTHON

ROOT = Path(__file__).parents[2]
WORK = ROOT / "build/fuzz"
SHARE_MIN = 90.0


class Lines(NamedTuple):
    reached: int
    all: int

    @property
    def share(self) -> float:
        return 100 * self.reached / max(self.all, 1)


def measure(targets: Sequence[str], corpus: Path) -> dict[str, Lines]:
    """Run the corpora of the targets; of each decoder's file the lines that any of them reached."""
    core = [target for target in targets if target in CORE]
    python = [target for target in targets if target in PYTHON]
    return (_of_core(core, corpus) if core else {}) | _of_python(python, corpus)


def is_enough(reached: dict[str, Lines]) -> bool:
    """Whether at least 90 % of every decoder's lines are reached; says which is not."""
    poor = {file: lines for file, lines in reached.items() if lines.share < SHARE_MIN}
    for file, lines in poor.items():
        print(f"{file}: {lines.share:.1f} % of its lines are reached, at least {SHARE_MIN:g} %")
    return not poor


def _of_core(targets: Sequence[str], corpus: Path) -> dict[str, Lines]:
    programs = [WORK / COVERAGE / f"{target}_fuzz" for target in targets]
    profiles = [WORK / f"{target}.profraw" for target in targets]
    merged = WORK / "core.profdata"
    for target, program, profile in zip(targets, programs, profiles, strict=True):
        inputs = sorted(str(path) for path in (corpus / target).iterdir())
        subprocess.run(
            [program, *inputs], check=True, cwd=ROOT, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, env=os.environ | {"LLVM_PROFILE_FILE": str(profile)},
        )  # fmt: skip
    subprocess.run([tool("llvm-profdata"), "merge", "-o", merged, *profiles], check=True)
    objects = [word for program in programs[1:] for word in ("--object", str(program))]
    files = {str(ROOT / file) for target in targets for file in CORE[target]}
    exported = subprocess.run(
        [
            tool("llvm-cov"), "export", "--summary-only", f"--instr-profile={merged}",
            programs[0], *objects, *sorted(files),
        ],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    return {
        str(Path(file["filename"]).relative_to(ROOT)): Lines(
            file["summary"]["lines"]["covered"], file["summary"]["lines"]["count"]
        )
        for file in json.loads(exported)["data"][0]["files"]
    }


def _of_python(targets: Sequence[str], corpus: Path) -> dict[str, Lines]:
    ran: dict[str, set[int]] = {}
    known: dict[str, set[int]] = {}
    for target in targets:
        printed = subprocess.run(
            [sys.executable, "-m", "tests.fuzz.python_target", "--lines", target, corpus / target],
            check=True, capture_output=True, text=True, cwd=ROOT,
        ).stdout  # fmt: skip
        for file, (some, every) in json.loads(printed).items():
            name = str(Path(file).relative_to(ROOT))
            ran.setdefault(name, set()).update(some)
            known[name] = set(every)
    return {name: Lines(len(ran[name]), len(known[name])) for name in known}
