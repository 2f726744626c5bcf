"""Mirror of the block of a model that comes while an engine runs."""

from gm.layout.struct import struct as _struct

MODEL_MAGIC = 0x444D4D47
MODEL_HEADER = _struct(
    magic="u4",
    schema="u4",
    agent_count="u4",
    guard_rows_max="u4",
    threshold="f8",
    guard_low="13f4",
    guard_high="13f4",
    guard_columns="u4",
    guard_columns_max="u4",
    feature_schema_sha256="32u1",
    bundle_sha256="32u1",
    tactical_agent_count="u4",
    reserved="52u1",
)
