"""Promise: who reads a journal whose first segments were compacted misses market data alone."""

from pathlib import Path

import numpy as np
import pytest

from gm._native.journal import JournalReader, JournalWriter, compact
from gm.errors import JournalCorrupt
from gm.layout import RecordType
from gm.store.journal_tail import JournalTail
from gm.store.summary import read_until
from gm.store.verify import verify_journal

from .journals import make_records, segment

RECORDS = 400
KEPT_EVERY = 7


def write_mixed(run: Path, records: int = RECORDS) -> None:
    """Blocks of 10 in segments of 64 slots; one record in seven is a fill."""
    writer = JournalWriter(str(run), segment_bytes=8192, journal_id=7)
    while writer.last_sequence < records:
        slots = make_records(writer.last_sequence + 1, 10)
        is_kept = slots["trailer"]["journal_sequence"] % KEPT_EVERY == 0
        slots["header"]["type"][is_kept] = RecordType.FILL
        writer.append(slots)
        writer.seal()
    writer.close()


def firsts(run: Path) -> list[int]:
    return sorted(int(path.name[8:28]) for path in (run / "journal").glob("segment-*.gmj"))


def expected(first: int, after: int = 0, last: int = RECORDS) -> list[int]:
    """What is left of a journal whose first whole segment begins with a record."""
    return [s for s in range(after + 1, last + 1) if s >= first or s % KEPT_EVERY == 0]


def sequences(slots: np.ndarray) -> list[int]:
    return [int(sequence) for sequence in slots["trailer"]["journal_sequence"]]


def followed(tail: JournalTail, until: int = RECORDS, slots_max: int = 16_384) -> list[int]:
    return [s for slots in read_until(tail, until, slots_max) for s in sequences(slots)]


@pytest.mark.parametrize("times", [0, 1, 3, 6])
def test_the_tail_gives_what_was_kept_from_any_cursor_on(tmp_path: Path, times: int) -> None:
    write_mixed(tmp_path)
    assert all(compact(str(tmp_path)) for _ in range(times))
    first = firsts(tmp_path)[0]
    for after in range(0, RECORDS, 13):
        for slots_max in (16, 16_384):
            tail = JournalTail(tmp_path / "journal", after)
            assert followed(tail, slots_max=slots_max) == expected(first, after)
            assert tail.last_sequence == RECORDS


def test_what_is_compacted_while_it_is_read_is_gone_on_with(tmp_path: Path) -> None:
    write_mixed(tmp_path)
    tail = JournalTail(tmp_path / "journal")
    found = sequences(tail.read(20))
    second, last = firsts(tmp_path)[1], firsts(tmp_path)[4]
    while firsts(tmp_path)[0] < last:
        assert compact(str(tmp_path))
    found += followed(tail)
    # Of the segment that was open nothing is missing.
    assert found == [s for s in range(1, RECORDS + 1) if s < second or s in expected(last)]


def test_the_reader_gives_kept_records_and_then_the_segments(tmp_path: Path) -> None:
    write_mixed(tmp_path)
    assert compact(str(tmp_path))
    assert compact(str(tmp_path))
    first = firsts(tmp_path)[0]
    for slots_max in (3, 1_000):
        reader = JournalReader(str(tmp_path / "journal"))
        found: list[int] = []
        while len(slots := reader.read(slots_max)) > 0:
            found += sequences(slots)
        assert found == expected(first)
        assert reader.compacted_sequence == first - 1
    reader = JournalReader(str(tmp_path / "journal"), compacted_only=True)
    assert sequences(reader.read(1_000)) == expected(first, last=first - 1)
    assert len(reader.read(1_000)) == 0


def test_the_report_says_what_was_compacted_and_finds_an_edit(tmp_path: Path) -> None:
    write_mixed(tmp_path)
    assert compact(str(tmp_path))
    first = firsts(tmp_path)[0]
    found = verify_journal(tmp_path)
    assert found.is_sound
    assert found.compacted_segments == 1
    assert found.compacted_sequence == first - 1
    assert found.compacted_records == len(expected(first, last=first - 1))
    assert found.records == RECORDS - first + 1
    path = segment(tmp_path).with_name(f"compacted-{1:020d}.gmj")
    data = bytearray(path.read_bytes())
    data[2 * 128 + 60] ^= 1
    path.write_bytes(data)
    (fault,) = verify_journal(tmp_path).faults
    assert (fault.kind, fault.segment, fault.record) == ("record", path.name, 2)
    with pytest.raises(JournalCorrupt, match=path.name):
        followed(JournalTail(tmp_path / "journal"))


def test_a_single_segment_stays(tmp_path: Path) -> None:
    write_mixed(tmp_path, 20)
    assert not compact(str(tmp_path))
    assert firsts(tmp_path) == [1]
