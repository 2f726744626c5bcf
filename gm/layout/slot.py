"""Mirror of the envelope of every record (core/include/gm/wire/record.hpp)."""

from gm.layout.struct import struct as _struct

RECORD_HEADER = _struct(
    magic="u4",
    schema="u2",
    type="u2",
    count="u2",
    source="u2",
    epoch="u4",
    first_sequence="u8",
    source_ts_ns="i8",
    receive_ts_ns="i8",
)
SLOT_TRAILER = _struct(input_sequence="u8", journal_sequence="u8", crc32c="u4", commit="u4")
SLOT = _struct(header=RECORD_HEADER, payload="64u1", trailer=SLOT_TRAILER)
