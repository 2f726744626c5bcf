"""The settings block: all that an engine is built from, as bytes. Layout: engine/settings.hpp.

The block is written to ``settings.bin`` in the run directory and is what the engine, a replay and
the native harness load, so its SHA-256 is the hash of the effective configuration.
"""

from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from gm import layout
from gm.config.settings import RECON_BREAK_AFTER_MS, Settings, TradingSection
from gm.errors import ConfigError

PADDING = 64
MICROS = 1_000_000
BRACKET_ATR_MAX = 1000
_SIDES = {"buy": 1, "sell": 2}
_TYPES = {"market": 1, "limit": 2, "stop": 4}

_NO_SHA = "0" * 64

Rows = NDArray[np.void]


class Desk(msgspec.Struct, frozen=True, kw_only=True):
    """One instrument as the block needs it.

    ``instrument`` is a row of ``layout.INSTRUMENT`` with empty slices; ``sessions`` and
    ``offsets`` are its tables.
    """

    symbol: str
    instrument: Rows
    sessions: Rows
    offsets: Rows


class Agents(msgspec.Struct, frozen=True, kw_only=True):
    """A bundle as the block needs it: rows of ``layout.AGENT_SETTINGS`` and one ONNX file each."""

    rows: Rows
    onnx: tuple[bytes, ...]
    threshold: float
    feature_schema_sha256: bytes
    bundle_sha256: bytes
    tactical: "Tactical | None" = None


class Tactical(msgspec.Struct, frozen=True, kw_only=True):
    """The tactical agents of a bundle: their rows and files, and one row of TACTICAL_SETTINGS."""

    settings: Rows
    rows: Rows
    onnx: tuple[bytes, ...]


class Guard(msgspec.Struct, frozen=True, kw_only=True):
    """What rows a model knows: core/include/gm/policy/guard.hpp.

    ``ranges`` gives low and high of a strategic column; more than ``columns_max`` columns outside
    make a row strange, more than ``rows_max`` strange rows in a row retire the model.
    """

    ranges: dict[int, tuple[float, float]]
    columns_max: int
    rows_max: int


class SignedLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The set that a run is bound by; its numbers are those of the settings. Default: unsigned."""

    sequence: int = 0
    sha256: str = ""
    expires_s: int = 0


UNSIGNED = SignedLimits()
NO_GUARD = Guard(ranges={}, columns_max=0, rows_max=0)
NO_KERNELS: Rows = np.zeros(0, layout.KERNEL_SETTINGS)


def build_block(
    settings: Settings,
    desks: Sequence[Desk],
    agents: Agents,
    kernels: Rows = NO_KERNELS,
    limits: SignedLimits = UNSIGNED,
) -> bytes:
    """Assemble the settings block of a run.

    Parameters
    ----------
    settings : Settings
        The checked configuration.
    desks : sequence of Desk
        The instruments of this run, in the order of their numbers on the wire.
    agents : Agents
        The bundle that decides.
    kernels : structured array of layout.KERNEL_SETTINGS
        User kernels: features first, then the rule.
    limits : SignedLimits
        The set that was signed for the limits of ``settings``.

    Returns
    -------
    bytes
        The block; equal input gives equal bytes.

    Raises
    ------
    ConfigError
        If an instrument has no entry under ``trading``, or a limit does not fit in 64 bits.

    Source
    ------
    Ours; core/include/gm/engine/settings.hpp.
    """
    instruments = np.concatenate([np.atleast_1d(desk.instrument) for desk in desks])
    for name, table in (("session", "sessions"), ("offset", "offsets")):
        counts = [len(getattr(desk, table)) for desk in desks]
        instruments[f"{name}_first"] = np.cumsum([0, *counts[:-1]])
        instruments[f"{name}_count"] = counts
    sections = [_section(settings, desk.symbol) for desk in desks]
    header = _header(settings, desks, agents, kernels)
    header["limits_expire_ts_ns"] = limits.expires_s * 1_000_000_000
    header["limits_sha256_head"][0] = np.frombuffer(
        bytes.fromhex(limits.sha256 or _NO_SHA)[:8], "u1"
    )
    tables = [
        header,
        _account(settings),
        instruments,
        np.concatenate(
            [_limits(s, d.instrument, d.symbol) for s, d in zip(sections, desks, strict=True)]
        ),
        np.concatenate([_sizing(s, d.symbol) for s, d in zip(sections, desks, strict=True)]),
        np.concatenate([desk.sessions for desk in desks]),
        np.concatenate([desk.offsets for desk in desks]),
        agents.rows,
        kernels,
    ]
    parts = [*(table.tobytes() for table in tables), *_tactical_tables(agents)]
    return b"".join(map(_pad, [*parts, *_files(agents)]))


def build_model(agents: Agents, guard: Guard = NO_GUARD) -> bytes:
    """Assemble the block of a model that comes while the engine runs.

    Parameters
    ----------
    agents : Agents
        The bundle.
    guard : Guard
        The rows that it knows; without ranges no row is strange.

    Returns
    -------
    bytes
        For ``Core.shadow_model``; equal input gives equal bytes.

    Source
    ------
    Ours; core/include/gm/engine/settings.hpp, ModelHeader.
    """
    header = _row(
        layout.MODEL_HEADER,
        magic=layout.MODEL_MAGIC,
        schema=layout.SCHEMA,
        agent_count=len(agents.rows),
        guard_rows_max=guard.rows_max,
        threshold=agents.threshold,
        guard_columns=sum(1 << column for column in guard.ranges),
        guard_columns_max=guard.columns_max,
        feature_schema_sha256=np.frombuffer(agents.feature_schema_sha256, "u1"),
        bundle_sha256=np.frombuffer(agents.bundle_sha256, "u1"),
        tactical_agent_count=_tactical_count(agents),
    )
    for column, (low, high) in guard.ranges.items():
        header["guard_low"][0, column] = low
        header["guard_high"][0, column] = high
    tables = (header.tobytes(), agents.rows.tobytes(), *_tactical_tables(agents))
    return b"".join(map(_pad, [*tables, *_files(agents)]))


def _tactical_count(agents: Agents) -> int:
    return 0 if agents.tactical is None else len(agents.tactical.rows)


def _tactical_tables(agents: Agents) -> list[bytes]:
    if agents.tactical is None:
        return []
    return [agents.tactical.settings.tobytes(), agents.tactical.rows.tobytes()]


def _files(agents: Agents) -> tuple[bytes, ...]:
    return agents.onnx + (() if agents.tactical is None else agents.tactical.onnx)


def _pad(raw: bytes) -> bytes:
    return raw + bytes(-len(raw) % PADDING)


def _section(settings: Settings, symbol: str) -> TradingSection:
    section = settings.trading.get(symbol)
    if section is None:
        raise ConfigError(f"trading.{symbol}: no size and no limits are written for it")
    return section


def _row(dtype: np.dtype[Any], **values: object) -> Rows:
    row = np.zeros(1, dtype)
    for name, value in values.items():
        row[name] = value
    return row


def _recon_break_after_ns(after_ms: int) -> int:
    # 0 where it is the core's own, so that blocks of before this key keep their hash.
    return 0 if after_ms == RECON_BREAK_AFTER_MS else after_ms * 1_000_000


def _header(settings: Settings, desks: Sequence[Desk], agents: Agents, kernels: Rows) -> Rows:
    return _row(
        layout.SETTINGS_HEADER,
        magic=layout.SETTINGS_MAGIC,
        schema=layout.SCHEMA,
        instrument_count=len(desks),
        session_count=sum(len(desk.sessions) for desk in desks),
        offset_count=sum(len(desk.offsets) for desk in desks),
        agent_count=len(agents.rows),
        installation=settings.engine.installation,
        profile=layout.Profile[settings.policy.profile.upper()],
        kernel_count=len(kernels),
        tactical_agent_count=_tactical_count(agents),
        threshold=agents.threshold,
        order_timeout_ns=settings.engine.order_timeout_ms * 1_000_000,
        order_valid_for_ns=settings.engine.order_valid_for_ms * 1_000_000,
        recon_break_after_ns=_recon_break_after_ns(settings.engine.recon_break_after_ms),
        max_hold_bars=settings.policy.max_hold_bars,
        flat_at_session_end=int(settings.policy.flat_at_session_end),
        confirmed_clean_bars=48,
        loss_confirmations=settings.account.loss_confirmations,
        feature_schema_sha256=np.frombuffer(agents.feature_schema_sha256, "u1"),
        bundle_sha256=np.frombuffer(agents.bundle_sha256, "u1"),
        synergy_mlmi_min=float(settings.synergy.mlmi_min),
        synergy_slope_min=float(settings.synergy.slope_min),
        synergy_window_bars=settings.synergy.window_bars,
        synergy_cooldown_bars=settings.synergy.cooldown_bars,
    )


def _account(settings: Settings) -> Rows:
    section = settings.account
    return _row(
        layout.ACCOUNT_LIMITS,
        orders_per_second_max=section.orders_per_second_max,
        orders_burst_max=section.orders_burst_max,
        cancels_per_second_max=section.cancels_per_second_max,
        cancels_burst_max=section.cancels_burst_max,
        gross_micros_max=_micros(section.gross_notional_max, "account.gross_notional_max"),
        credit_micros_max=_micros(section.credit_max, "account.credit_max"),
        loss_micros_max=_micros(section.loss_max, "account.loss_max"),
        drawdown_micros_max=_micros(section.drawdown_max, "account.drawdown_max"),
    )


def _micros(value: Decimal, key: str) -> int:
    return _whole(value * MICROS, key)


def _whole(value: Decimal, key: str) -> int:
    whole = int(value.to_integral_value(ROUND_HALF_EVEN))
    if whole != value or whole > 2**63 - 1:
        raise ConfigError(f"{key}: {value} is finer or larger than the core can count")
    return whole


def _limits(section: TradingSection, instrument: Rows, symbol: str) -> Rows:
    key = f"trading.{symbol}"
    if int(np.atleast_1d(instrument)["tick_value_micros"][0]) <= 0:
        raise ConfigError(f"{key}: the value of a tick must be positive")
    return _row(
        layout.LIMITS,
        order_quantity_lots_max=section.order_quantity_lots_max,
        order_notional_micros_max=_micros(section.order_notional_max, f"{key}.order_notional_max"),
        collar_ppm=_whole(section.collar_percent * 10_000, f"{key}.collar_percent"),
        collar_ticks_min=section.collar_ticks_min,
        reference_age_ns_max=section.reference_age_ms_max * 1_000_000,
        position_lots_max=section.position_lots_max,
        orders_per_second_max=section.orders_per_second_max,
        orders_burst_max=section.orders_burst_max,
        duplicates_max=section.duplicates_max,
        duplicate_window_ns=section.duplicate_window_ms * 1_000_000,
        sides_allowed=sum({_SIDES[side] for side in section.sides}),
        types_allowed=sum({_TYPES[kind] for kind in section.types}),
        margin_micros_per_lot=_micros(section.margin_per_lot, f"{key}.margin_per_lot"),
        loss_micros_max=_micros(section.loss_max, f"{key}.loss_max"),
        repeat_window_ns=section.repeat_window_ms * 1_000_000,
        repeat_executions_max=section.repeat_executions_max,
    )


def _sizing(section: TradingSection, symbol: str) -> Rows:
    bracket = section.bracket
    key = f"trading.{symbol}.bracket"
    for leg, atr, kind in (
        ("stop_atr", bracket.stop_atr, "stop"),
        ("target_atr", bracket.target_atr, "limit"),
    ):
        if not 0 <= atr <= BRACKET_ATR_MAX:
            raise ConfigError(f"{key}.{leg}: must be 0 to {BRACKET_ATR_MAX}: {atr}")
        if atr > 0 and kind not in section.types:
            raise ConfigError(f"{key}.{leg}: needs {kind!r} in trading.{symbol}.types")
    if bracket.trailing_stop and bracket.stop_atr == 0:
        raise ConfigError(f"{key}.trailing_stop: needs a stop, stop_atr is 0")
    return _row(
        layout.SIZING,
        target_lots=section.target_lots,
        stop_atr=float(bracket.stop_atr),
        target_atr=float(bracket.target_atr),
        stop_trails=bracket.trailing_stop,
    )
