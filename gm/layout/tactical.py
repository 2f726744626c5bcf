"""Mirrors of the tactical records and settings: wire/payload.hpp and engine/settings.hpp."""

from gm.layout.struct import struct

TACTICAL_DECISION = struct(
    bar_start_ts_ns="i8",
    instrument="u2",
    model="u2",
    direction="i1",
    standing="i1",
    fvg="u1",
    momentum="u1",
    entry="u1",
    agents="u1",
    synergy_type="u1",
    enters="u1",
    score="f4",
    agent_probability="(3,3)f4",
    reserved="4u1",
)
TACTICAL_SETTINGS = struct(threshold="f8", weights="(5,3)f8")
