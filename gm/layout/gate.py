"""Mirrors of the payloads about the gate (core/include/gm/wire/gate_payload.hpp)."""

from gm.layout.struct import struct as _struct

HEADROOM = _struct(free_ppm="i8", floor_ppm="i8", under="u1", reserved="47u1")
POLICY_LATE = _struct(first_input="u8", took_ns="i8", budget_ns="i8", reserved="40u1")
RISK_TRIP = _struct(value="i8", limit="i8", instrument="u4", code="u1", reserved="43u1")
