"""`gm replay`: a journal's outputs derived again from its inputs, compared byte for byte."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

from gm._native.journal import JournalReader
from gm._native.runtime import replay as native_replay
from gm.config.run_dir import read_run
from gm.store.summary import Slots, summarise


class ReplayReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay went through. It ended without a difference, or it would have raised.

    ``is_complete`` is False when the process died before it wrote the last outputs; they follow
    from the inputs all the same.
    ``after``: records up to this one were not derived again, as the market data of the first
    segments is gone; the replay went on from the snapshot that stands behind it. 0: all were.
    """

    after: int
    records: int
    inputs: int
    outputs: int
    epoch: int
    last_ts_ns: int
    has_ended: bool
    is_clean: bool
    is_complete: bool
    order_stream_sha256: str


def replay(path: str | Path, output: str | Path | None = None) -> ReplayReport:
    """Replay the journal of a run directory and compare every record.

    Parameters
    ----------
    path : str or Path
        A run directory: its ``settings.bin`` and ``journal``.
    output : str or Path, optional
        Folder that keeps the re-derived journal; default: a temporary one. Of a journal whose first
        segments were compacted none is made: each record is compared as it is derived.

    Returns
    -------
    ReplayReport
        Counts, and the order-stream hash of the journal.

    Raises
    ------
    ReplayDiverged
        Names the first journal sequence whose bytes differ.
    JournalCorrupt, ConfigError
        If the journal or the directory cannot be read.

    Source
    ------
    Ours; ARCHITECTURE §1, law 2.
    """
    prepared = read_run(Path(path))
    with tempfile.TemporaryDirectory(prefix="gm-replay-") as folder:
        target = str(output) if output is not None else folder
        found = native_replay(str(path), target)
        derived = str(path) if found["after"] else target
        reader = JournalReader(f"{derived}/journal", checks_chain=False)
        summary = summarise(_batches(reader), prepared.manifest.instruments)
    return ReplayReport(order_stream_sha256=summary.order_stream_sha256, **found)


def _batches(reader: JournalReader) -> Iterator[Slots]:
    while len(slots := reader.read(16_384)) > 0:
        yield slots
