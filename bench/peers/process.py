"""A peer that lives in an environment of its own: asked over a pipe, one line a question.

`make bench-peers` makes the environments under build/peers. One that is not there is reported as
"not measured", never as passed.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENTS = ROOT / "build" / "peers"


def is_installed(environment: str) -> bool:
    """Whether `make bench-peers` made this environment here."""
    return (ENVIRONMENTS / environment / ".installed").exists()


class Peer:
    """One worker of bench/peers, on the core that it is given."""

    def __init__(self, environment: str, worker: str, core: int) -> None:
        python = ENVIRONMENTS / environment / "bin" / "python"
        script = Path(__file__).parent / f"{worker}.py"
        self.process = subprocess.Popen(
            [python, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": ""},
        )  # fmt: skip
        os.sched_setaffinity(self.process.pid, {core})

    def ask(self, task: str, **arguments: Any) -> dict[str, Any]:
        """Put one question and wait for its answer."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"task": task, **arguments}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"the peer ended in the middle of {task!r}: exit {self.process.wait()}")
        return json.loads(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(timeout=30)


def answer(tasks: dict[str, Any]) -> None:
    """The worker's side: answer questions until there are no more."""
    for line in sys.stdin:
        question = json.loads(line)
        found = tasks[question.pop("task")](**question)
        print(json.dumps(found), flush=True)
