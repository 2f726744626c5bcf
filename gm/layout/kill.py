"""Mirrors of the payloads about the kill switch (core/include/gm/wire/kill_payload.hpp)."""

from gm.layout.struct import struct as _struct

KILL = _struct(
    latch_id="16u1",
    generation="u8",
    instrument="u4",
    level="u1",
    cause="u1",
    reserved="2u1",
    signatures_sha256="32u1",
)
KILL_STATE = _struct(
    generation="u8",
    open_orders="u8",
    instrument="u4",
    level="u1",
    previous="u1",
    cause="u1",
    reserved="41u1",
)
