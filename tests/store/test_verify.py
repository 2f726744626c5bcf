"""Promise: gm.verify_journal reports what a journal holds and names every fault by its place."""

import hashlib
import struct
from pathlib import Path

import numpy as np
import pytest

import gm
from gm import layout
from gm._native import journal
from gm.errors import BadArgument, JournalCorrupt, SystemCallFailed
from gm.store.verify import verify_journal

from .journals import make_records, segment, write_journal


def crc32c(data: bytes) -> int:
    """CRC-32C bit by bit, from its polynomial."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def with_checksum(body: bytes, commit: int) -> bytes:
    return body + struct.pack("<II", crc32c(body), commit)


def test_crc32c_here_is_the_published_one() -> None:
    assert crc32c(b"123456789") == 0xE3069283


def test_segment_is_byte_for_byte_what_the_format_says(tmp_path: Path) -> None:
    write_journal(tmp_path, 3)
    write_journal(tmp_path, 5)  # the first three are synced by then, and the second block says so
    expected = struct.pack("<IHHQQQQ", 0x53304D47, 1, 128, 8192, 7, 1, 1) + bytes(32)
    expected += b"\x01" + bytes(51)
    expected += struct.pack("<I", crc32c(expected))
    digest = bytes(32)
    for block, first, last, synced in ((1, 1, 3, 0), (2, 4, 5, 3)):
        slots = make_records(first, last - first + 1)
        records = b"".join(
            with_checksum(slot.tobytes()[:120], i) for i, slot in enumerate(slots, first)
        )
        digest = hashlib.sha256(digest + records).digest()
        chain = struct.pack("<IHHHHIQqq", layout.MAGIC, 1, 100, 1, 6, 0, block, 0, 0)
        chain += digest + struct.pack("<QQQQ", first, last, block, synced)
        chain += struct.pack("<QQ", 0, last)
        expected += records + with_checksum(chain, last)
    data = segment(tmp_path).read_bytes()
    assert data[: len(expected)] == expected
    assert not any(data[len(expected) :])
    assert verify_journal(tmp_path).head_digest == digest.hex()


def test_sound_journal_is_reported_as_such(tmp_path: Path) -> None:
    write_journal(tmp_path, 200)
    report = gm.verify_journal(tmp_path)
    assert report.is_sound
    assert (report.records, report.segments, report.last_sequence) == (200, 4, 200)
    assert report.anchored_sequence == 200
    assert report.open_records == report.torn_tail_bytes == 0
    assert report.faults == ()
    assert gm.verify_journal(tmp_path / "journal") == report


def test_flipped_bit_is_named_by_segment_block_and_record(tmp_path: Path) -> None:
    write_journal(tmp_path, 200)
    path = segment(tmp_path)
    data = bytearray(path.read_bytes())
    data[14 * 128 + 50] ^= 1  # slots 1-11 are block 1: the third record of block 2
    path.write_bytes(data)
    report = verify_journal(tmp_path)
    assert not report.is_sound
    (fault,) = report.faults
    assert (fault.kind, fault.segment, fault.block, fault.record) == ("record", path.name, 2, 3)
    assert fault.offset_bytes == 14 * 128
    assert "block 2, record 3" in fault.text


def test_cut_tail_is_evident_from_the_anchor(tmp_path: Path) -> None:
    write_journal(tmp_path, 200)
    max((tmp_path / "journal").glob("segment-*")).unlink()
    (fault,) = verify_journal(tmp_path).faults
    assert fault.kind == "anchor"
    assert "the tail was cut" in fault.text


def test_records_missing_behind_the_last_sync_are_a_torn_tail_those_before_it_a_fault(
    tmp_path: Path,
) -> None:
    writer = journal.JournalWriter(str(tmp_path), segment_bytes=8192, journal_id=7)
    writer.append(make_records(1, 10))
    writer.sync()
    writer.append(make_records(11, 10))
    writer.seal()
    path = segment(tmp_path)
    sound = path.read_bytes()
    for slot, is_synced in ((5, True), (11, True), (12, False), (15, False)):  # 11: a chain record
        data = bytearray(sound)
        data[slot * 128 : (slot + 1) * 128] = bytes(128)
        path.write_bytes(data)
        report = verify_journal(tmp_path)
        assert report.is_sound is not is_synced
        if is_synced:
            assert (report.faults[0].block, report.faults[0].record) == (1, slot)
        else:
            assert report.torn_tail_bytes == (23 - slot) * 128
            assert report.last_sequence == slot - 2


def test_missing_journal_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(SystemCallFailed, match="nowhere"):
        verify_journal(tmp_path / "nowhere")


def test_reader_gives_back_what_was_written(tmp_path: Path) -> None:
    write_journal(tmp_path, 200)
    reader = journal.JournalReader(str(tmp_path / "journal"))
    batches = []
    while len(batch := reader.read(33)):
        batches.append(batch)
    slots = np.concatenate(batches)
    expected = make_records(1, 200)
    expected["trailer"]["crc32c"] = slots["trailer"]["crc32c"]
    assert (slots == expected).all()


def test_reader_ends_at_the_first_fault(tmp_path: Path) -> None:
    write_journal(tmp_path, 200)
    path = segment(tmp_path)
    data = bytearray(path.read_bytes())
    data[14 * 128 + 50] ^= 1
    path.write_bytes(data)
    reader = journal.JournalReader(str(tmp_path / "journal"))
    assert len(reader.read(1000)) == 10
    with pytest.raises(JournalCorrupt, match="block 2, record 3"):
        reader.read(1000)


def test_wrong_arrays_and_sizes_are_refused_before_the_core(tmp_path: Path) -> None:
    with pytest.raises(BadArgument, match=r"journal_segment_bytes .* 5000"):
        journal.JournalWriter(str(tmp_path), segment_bytes=5000)
    writer = journal.JournalWriter(str(tmp_path), segment_bytes=8192)
    with pytest.raises(TypeError, match="SLOT"):
        writer.append(np.zeros(3))
    with pytest.raises(TypeError, match="contiguous"):
        journal.whole_prefix(make_records(1, 4)[::2], 1)
    with pytest.raises(JournalCorrupt, match="record 2 was handed to the journal as record 1"):
        writer.append(make_records(2, 1))
