"""Drift of what the live model sees: newest rows of the status page against its training slice.

The page shows the row of the last closed 30-minute bar, which is the row that the model decided
on. Live, none is missed: a page is read many times a second. A replay that runs faster than that
shows some of its rows. They are kept in a file, so that a restart goes on with them.
"""

import contextlib
from collections import deque
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gm._native.features import feature_schema_digest
from gm.config.run_dir import write_whole
from gm.models.drift import TrainingSlice, stability_index
from gm.supervisor.bundles import COLUMNS

# A build with other columns finds no rows of this one.
ROWS_FILE = Path("models") / f"rows-{feature_schema_digest().hex()[:12]}.f32"
ROWS_MAX = 1_000  # three weeks of a market that never closes
ROWS_MIN = 100  # two days; below, PSI is mostly noise
EVERY_ROWS = 4
SAVE_AFTER_S = 60.0


class DriftWatch:
    """Collects rows and scores them. One thread.

    Parameters
    ----------
    run_dir : Path
        What a former life left there is taken up.
    """

    def __init__(self, run_dir: Path) -> None:
        self._path = run_dir / ROWS_FILE
        self._rows: deque[NDArray[np.float32]] = deque(_read(self._path), maxlen=ROWS_MAX)
        self._bars: dict[str, int] = {}
        self._slice: TrainingSlice | None = None
        self._of = ""
        self._unscored = 0
        self._unsaved = False
        self._saved_s = 0.0
        self.scores: Mapping[str, float] = {}

    @property
    def rows(self) -> int:
        """How many rows the scores are of."""
        return len(self._rows)

    def compare_with(
        self, sha256: str, training: TrainingSlice | None, columns: Collection[int]
    ) -> None:
        """Take the slice of another live model, and of it the columns that the model looks at."""
        chosen = {COLUMNS[column] for column in columns if column < len(COLUMNS)}
        self._of, self._slice = sha256, None
        if training is not None:
            kept = tuple(c for c in training.columns if c.name in chosen and c.name in COLUMNS)
            if kept:
                self._slice = TrainingSlice(rows=training.rows, columns=kept)
        self.scores = {}
        self._unscored = EVERY_ROWS

    def is_of(self, sha256: str) -> bool:
        """Whether the scores are against the slice of that bundle."""
        return self._of == sha256

    def look(self, instruments: list[dict[str, Any]], now_s: float) -> None:
        """Take in the rows that are new on a status page."""
        for row in instruments:
            before, bars = self._bars.get(row["symbol"]), row["bars_30m"]
            self._bars[row["symbol"]] = bars
            # The first look of a life may show a row that is in the file already.
            if before is None or bars == before or not row["is_ready"]:
                continue
            values = np.array(row["newest_row"][: len(COLUMNS)], np.float32)
            if not np.isfinite(values).all():  # a page that could not be read whole
                continue
            self._rows.append(values)
            self._unscored += 1
            self._unsaved = True
        if self._unscored >= EVERY_ROWS:
            self._score()
        if self._unsaved and now_s - self._saved_s >= SAVE_AFTER_S:
            self._saved_s = now_s
            self.save()

    def save(self) -> None:
        """Keep the rows for the next life. Where that cannot be, a restart begins anew."""
        if not self._unsaved:
            return
        self._unsaved = False
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(exist_ok=True)
            write_whole(self._path, np.array(self._rows, "<f4").tobytes())

    def _score(self) -> None:
        self._unscored = 0
        if self._slice is None or len(self._rows) < ROWS_MIN:
            return
        columns = [COLUMNS.index(column.name) for column in self._slice.columns]
        self.scores = stability_index(self._slice, np.array(self._rows)[:, columns])


def _read(path: Path) -> list[NDArray[np.float32]]:
    try:
        raw = path.read_bytes()
    except OSError:
        return []
    whole = len(raw) // (4 * len(COLUMNS)) * 4 * len(COLUMNS)
    rows = np.frombuffer(raw[:whole], "<f4").reshape(-1, len(COLUMNS))
    return list(rows[np.isfinite(rows).all(axis=1)])  # the disk may have changed a bit
