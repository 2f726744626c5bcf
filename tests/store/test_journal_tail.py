"""Promise: the tail gives each record once, in order and whole, however the journal grows."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from gm._native.journal import JournalWriter
from gm.errors import JournalCorrupt
from gm.store.journal_tail import JournalTail

from .journals import make_records, segment, write_journal


def sequences(slots: np.ndarray) -> list[int]:
    return [int(sequence) for sequence in slots["trailer"]["journal_sequence"]]


def read_all(tail: JournalTail, slots_max: int = 16_384) -> list[int]:
    """Every sequence that there is. Two empty reads in a row: one may be a chain record alone."""
    found: list[int] = []
    empty = 0
    while empty < 2:
        batch = sequences(tail.read(slots_max))
        found += batch
        empty = 0 if batch else empty + 1
    return found


def test_nothing_is_there_before_the_journal(tmp_path: Path) -> None:
    tail = JournalTail(tmp_path / "journal")
    assert len(tail.read()) == 0
    write_journal(tmp_path, 0)
    assert len(tail.read()) == 0
    write_journal(tmp_path, 3)
    assert sequences(tail.read()) == [1, 2, 3]
    assert tail.last_sequence == 3


@pytest.mark.parametrize("block", [1, 7, 10, 30, 31, 62, 500])
def test_whole_journal_comes_in_pieces_of_any_size(tmp_path: Path, block: int) -> None:
    write_journal(tmp_path, 300, block=block)
    for slots_max in (2, 5, 64, 16_384):
        tail = JournalTail(tmp_path / "journal")
        assert read_all(tail, slots_max) == list(range(1, 301))


@pytest.mark.parametrize("block", [1, 7, 10, 31, 62])
def test_reading_goes_on_from_any_cursor(tmp_path: Path, block: int) -> None:
    write_journal(tmp_path, 150, block=block)
    for cursor in range(151):
        tail = JournalTail(tmp_path / "journal", cursor)
        assert read_all(tail, 16) == list(range(cursor + 1, 151))


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 70), st.booleans(), st.integers(2, 40)), max_size=12))
def test_growing_journal_is_followed(steps: list[tuple[int, bool, int]]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder)
        writer = JournalWriter(str(run), segment_bytes=8192, journal_id=7)
        tail = JournalTail(run / "journal")
        found: list[int] = []
        for count, seals, slots_max in steps:
            writer.append(make_records(writer.last_sequence + 1, count))
            if seals:
                writer.seal()
            found += read_all(tail, slots_max)
            assert found == list(range(1, writer.last_sequence + 1))
        tail.close()


def test_half_written_record_is_not_there_yet(tmp_path: Path) -> None:
    write_journal(tmp_path, 20, segment_bytes=16384)
    path = segment(tmp_path)
    slot = make_records(21, 1).tobytes()
    with path.open("r+b") as file:
        os.pwrite(file.fileno(), slot[:100], 23 * 128)
    tail = JournalTail(tmp_path / "journal")
    assert read_all(tail) == list(range(1, 21))
    write_journal(tmp_path, 25, segment_bytes=16384)
    assert read_all(tail) == list(range(21, 26))


def test_damage_with_records_after_it_is_corruption(tmp_path: Path) -> None:
    write_journal(tmp_path, 20)
    path = segment(tmp_path)
    data = bytearray(path.read_bytes())
    data[5 * 128 + 60] ^= 1
    path.write_bytes(data)
    tail = JournalTail(tmp_path / "journal")
    assert sequences(tail.read()) == [1, 2, 3, 4]
    with pytest.raises(JournalCorrupt, match="record 5 is not whole"):
        tail.read()


def test_cursor_whose_record_was_deleted_is_corruption(tmp_path: Path) -> None:
    write_journal(tmp_path, 40)
    path = segment(tmp_path)
    data = path.read_bytes()
    path.write_bytes(data[: 5 * 128] + data[6 * 128 :] + bytes(128))
    with pytest.raises(JournalCorrupt, match="record 5 is missing"):
        JournalTail(tmp_path / "journal", 4).read()
