"""What a running engine takes of the machine and how long its steps are, once a second."""

import contextlib
import os
import time
from pathlib import Path
from typing import Any

import msgspec

from gm._native.runtime import read_status
from gm.errors import GmError

STAGE = "step"


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One look. ``life`` counts the engine's processes; ``age_s`` is that of this one.

    ``octaves``: how many steps since the last look took up to 2^i ns; empty at the first of a life.
    """

    at_s: float
    life: int
    age_s: float
    rss_bytes: int
    descriptors: int
    threads: int
    feed_sequence: int
    gaps: int
    segment_bytes: int
    compacted_bytes: int
    database_bytes: int
    phase: str
    held_by: str
    octaves: tuple[int, ...]
    is_disturbed: bool


class Sampler:
    """Takes samples of one run directory, whichever process lives on it."""

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir
        self._started_s = time.monotonic()
        self._pid = 0
        self._born_s = 0.0
        self._octaves: list[int] = []
        self.life = 0
        self.samples: list[Sample] = []

    def take(self, pid: int, *, is_disturbed: bool) -> None:
        """Look at a process; nothing is noted while it has no page of its own yet."""
        now_s = time.monotonic()
        if pid != self._pid:
            self._pid, self._born_s, self._octaves = pid, now_s, []
            self.life += 1
        with contextlib.suppress(OSError, GmError, KeyError):
            status = read_status(str(self._run_dir))
            if status["io"]["pid"] == pid and status["is_whole"]:
                self.samples.append(self._sample(status, now_s, is_disturbed))

    def _sample(self, status: dict[str, Any], now_s: float, is_disturbed: bool) -> Sample:
        process = Path("/proc") / str(self._pid)
        fields = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
        octaves = list(status["stages"][STAGE]["octaves"])
        known, self._octaves = self._octaves, octaves
        steps = [new - old for new, old in zip(octaves, known, strict=True)] if known else []
        journal = self._run_dir / "journal"
        return Sample(
            at_s=now_s - self._started_s,
            life=self.life,
            age_s=now_s - self._born_s,
            rss_bytes=int(fields["VmRSS"].split()[0]) * 1024,
            descriptors=len(os.listdir(process / "fd")),
            threads=int(fields["Threads"]),
            feed_sequence=status["engine"]["last_feed_sequence"],
            gaps=status["io"]["sequence_gaps"],
            segment_bytes=_bytes(journal, "segment-*.gmj") + _bytes(journal, "next.gmj"),
            compacted_bytes=_bytes(journal, "compacted-*.gmj"),
            database_bytes=_bytes(self._run_dir, "gm.db*"),
            phase=status["io"]["phase"],
            held_by=status["retention"]["held_by"],
            octaves=tuple(steps),
            is_disturbed=is_disturbed,
        )


def _bytes(folder: Path, pattern: str) -> int:
    total = 0
    for path in folder.glob(pattern):
        with contextlib.suppress(FileNotFoundError):  # compacted just now
            total += path.stat().st_size
    return total
