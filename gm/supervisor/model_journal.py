"""What a journal says of models: who fell and why, what was refused, how often a shadow agreed.

The tail is read from where a former life had got to; that place and the counts up to it lie in one
file, replaced whole. So every fall is seen once, or again after a death, and never missed.
"""

import math
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from gm import layout
from gm.config.run_dir import JOURNAL_FOLDER, write_whole
from gm.errors import ConfigError
from gm.layout import ModelCause, ModelStage, RecordType
from gm.store.journal_tail import JournalTail
from gm.store.summary import read_until

FOLLOWED_FILE = Path("models") / "followed.json"
SLOTS_MAX = 16_384  # of one look
SAVE_EVERY_RECORDS = 200_000  # a restart reads no more than these twice
_FALLS = (ModelCause.NOT_FINITE, ModelCause.LATE, ModelCause.OUT_OF_DISTRIBUTION)


class Followed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far a journal was read, and what it had said until there."""

    format: int = 1
    journal_sequence: int = 0
    roll_backs: dict[str, int] = msgspec.field(
        default_factory=lambda: {cause.name.lower(): 0 for cause in _FALLS}
    )
    failed: tuple[str, ...] = ()


class Fall(msgspec.Struct, frozen=True, kw_only=True):
    """A live model gave way by itself: its SHA-256, and why."""

    failed: str
    why: str


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """The engine did not do as it was told."""

    model: int
    sha256: str
    cause: str


class ModelJournal:
    """Reads a run's journal for models. One thread.

    Parameters
    ----------
    run_dir : Path
    records : int
        Of the journal, as it was recovered. A former life may have read more than the power left
        on the disk: then the journal is read from its beginning.
    on_fall, on_refusal : callable
        Told in the order of the journal. A fall is told again after a restart unless ``save`` was
        called behind it.

    Raises
    ------
    ConfigError
        If the file of a former life is damaged. Without it the journal is read from its beginning.
    """

    def __init__(
        self,
        run_dir: Path,
        records: int,
        on_fall: Callable[[Fall], None],
        on_refusal: Callable[[Refusal], None],
    ) -> None:
        self._path = run_dir / FOLLOWED_FILE
        saved = _read(self._path)
        if saved.journal_sequence > records:
            saved = Followed()
        self._saved_sequence = saved.journal_sequence
        self._tail = JournalTail(run_dir / JOURNAL_FOLDER, saved.journal_sequence)
        self._on_fall, self._on_refusal = on_fall, on_refusal
        self._decisions: dict[int, tuple[int, int | None]] = {}
        self.roll_backs = dict(saved.roll_backs)
        self.failed = set(saved.failed)
        self.same = self.other = 0

    @property
    def roll_backs_total(self) -> int:
        """Falls since the first start of the journal; the engine counts the same."""
        return sum(self.roll_backs.values())

    def read(self, until_sequence: int, budget_s: float = math.inf) -> None:
        """Look at what is new, for about so long.

        Parameters
        ----------
        until_sequence : int
            Journal sequence that is known to be in the segments.
        budget_s : float

        Raises
        ------
        JournalCorrupt
            If the journal is, or does not reach ``until_sequence``.
        """
        until_s = time.monotonic() + budget_s
        for slots in read_until(self._tail, until_sequence, SLOTS_MAX):
            self._take(slots)
            if time.monotonic() >= until_s:
                return

    def save(self, *, is_forced: bool = False) -> None:
        """Keep the place in the journal: all that was told until here has been dealt with."""
        read = self._tail.last_sequence - self._saved_sequence
        if read < (1 if is_forced else SAVE_EVERY_RECORDS):
            return
        followed = Followed(
            journal_sequence=self._tail.last_sequence,
            roll_backs=self.roll_backs,
            failed=tuple(sorted(self.failed)),
        )
        self._path.parent.mkdir(exist_ok=True)
        write_whole(self._path, msgspec.json.encode(followed))
        self._saved_sequence = followed.journal_sequence

    def close(self) -> None:
        """Close the segment that is open."""
        self._tail.close()

    def _take(self, slots: NDArray[np.void]) -> None:
        types = slots["header"]["type"]
        updates = slots["payload"][types == RecordType.MODEL_UPDATE]
        sequences = slots["trailer"]["journal_sequence"][types == RecordType.MODEL_UPDATE]
        rows = np.ascontiguousarray(updates).view(layout.MODEL_UPDATE).reshape(-1)
        for at in range(len(rows)):
            self._update(rows, at, int(sequences[at]))
        decides = (types == RecordType.DECISION) | (types == RecordType.SHADOW_DECISION)
        chosen = np.ascontiguousarray(slots["payload"][decides])
        decisions = chosen.view(layout.DECISION).reshape(-1)
        is_shadow = types[decides] == RecordType.SHADOW_DECISION
        for decision, shadows in zip(decisions, is_shadow, strict=True):
            self._decision(decision, is_shadow=bool(shadows))

    def _update(self, rows: NDArray[np.void], at: int, sequence: int) -> None:
        stage, cause = ModelStage(rows[at]["stage"]), ModelCause(rows[at]["cause"])
        sha256 = bytes(rows[at]["sha256"]).hex()
        if stage == ModelStage.REFUSED:
            refusal = Refusal(model=int(rows[at]["model"]), sha256=sha256, cause=cause.name.lower())
            self._on_refusal(refusal)
        elif stage == ModelStage.RETIRED and cause in _FALLS:
            self.roll_backs[cause.name.lower()] += 1
            self.failed.add(sha256)
            why = f"{cause.name.lower()} ({int(rows[at]['value'])}), journal record {sequence}"
            self._on_fall(Fall(failed=sha256, why=why))

    def _decision(self, decision: np.void, *, is_shadow: bool) -> None:
        instrument, bar = int(decision["instrument"]), int(decision["bar_start_ts_ns"])
        action = int(decision["action"]) if decision["acts"] else None
        if not is_shadow:
            self._decisions[instrument] = (bar, action)
            return
        live = self._decisions.get(instrument)
        if live is not None and live[0] == bar:
            self.same += live[1] == action
            self.other += live[1] != action


def _read(path: Path) -> Followed:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Followed)
    except FileNotFoundError:
        return Followed()
    except msgspec.DecodeError as error:
        raise ConfigError(f"{path}: {error}; without it the journal is read anew") from error
