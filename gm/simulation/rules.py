"""Settings blocks whose decisions come from a rule that trades at its worst."""

import hashlib

import numpy as np

from gm import layout
from gm.config.block import PADDING
from gm.errors import ConfigError

OWN = "own"
RULES = ("random", "maximum", "alternating", "invalid", "flood")
POLICIES = (OWN, *RULES)
FAST_RULE = "flood"


def with_rule(block: bytes, rule: str) -> bytes:
    """Let a rule of the simulation decide in place of the policy of a settings block.

    Parameters
    ----------
    block : bytes
        As ``gm.config.block.build_block`` makes it, without user kernels.
    rule : str
        One of ``RULES``, or ``own``: the block as it is.

    Returns
    -------
    bytes
        The other block.

    Raises
    ------
    ConfigError
        If the block names user kernels: a simulated world has none but its own.

    Source
    ------
    Ours; the order of the tables is that of core/include/gm/engine/settings.hpp.
    """
    header = np.frombuffer(block, layout.SETTINGS_HEADER, 1).copy()
    if header["kernel_count"][0] != 0:
        raise ConfigError("kernels.path: a simulated world plays no user kernels")
    if rule == OWN:
        return block
    end = sum(_padded(count * dtype.itemsize) for count, dtype in _tables_before(header))
    header["profile"] = layout.Profile.RULE
    header["kernel_count"] = 1
    row = np.zeros(1, layout.KERNEL_SETTINGS)
    row["name"] = rule.encode()
    row["sha256"] = np.frombuffer(hashlib.sha256(rule.encode()).digest(), np.uint8)
    row["low"], row["high"] = -1.0, 1.0
    row["kind"] = layout.KernelKind.RULE
    row["minutes"] = 5 if rule == FAST_RULE else 30
    row["warmup"] = 1
    row["policy"] = layout.KernelPolicy.SKIP
    row["input_count"] = 2
    row["inputs"][0, :2] = layout.KernelField.CLOSE, layout.KernelField.VOLUME
    raw = row.tobytes()
    rows = raw.ljust(_padded(len(raw)), b"\0")
    return header.tobytes() + block[header.nbytes : end] + rows + block[end:]


def _padded(size: int) -> int:
    return -(-size // PADDING) * PADDING


def _tables_before(header: np.ndarray) -> list[tuple[int, np.dtype]]:
    count = int(header["instrument_count"][0])
    return [
        (1, layout.SETTINGS_HEADER),
        (1, layout.ACCOUNT_LIMITS),
        (count, layout.INSTRUMENT),
        (count, layout.LIMITS),
        (count, layout.SIZING),
        (int(header["session_count"][0]), layout.SESSION_INTERVAL),
        (int(header["offset_count"][0]), layout.OFFSET_CHANGE),
        (int(header["agent_count"][0]), layout.AGENT_SETTINGS),
    ]
