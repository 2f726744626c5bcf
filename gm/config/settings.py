"""The whole configuration: one frozen tree, read once at start, checked before the core is touched.

A key that is not listed here is an error. No risk limit has a default: somebody must have written
each number down. Decimals are exact; the unit is the last part of a name.
"""

import hashlib
import math
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import msgspec

from gm.config.convert import convert, convert_entries
from gm.config.instruments import load_instruments
from gm.config.strict_yaml import load_tree
from gm.errors import ConfigError

INT64_MAX = 2**63 - 1
Count = Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)]
CountOrZero = Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)]
Lots = Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000_000)]
Milliseconds = Annotated[int, msgspec.Meta(ge=1, le=7 * 86_400_000)]
Microseconds = Annotated[int, msgspec.Meta(ge=0, le=10_000_000)]
PerMillion = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
FileName = Annotated[str, msgspec.Meta(min_length=1)]
Profile = Literal["strategic_only", "rule", "two_level"]
PROFILES: tuple[str, ...] = get_args(Profile)
Port = Annotated[int, msgspec.Meta(ge=0, le=65_535)]


RECON_BREAK_AFTER_MS = 5_000  # the core's own: a block that says nothing means this


class _Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every section. Subclasses repeat frozen and kw_only: mypy and msgspec need it."""


class EngineSection(_Section, frozen=True, kw_only=True):
    """How the engine process runs."""

    driver: Literal["auto", "inline", "threaded"] = "auto"
    idle_spin_us: Microseconds = 50
    # Journal files of this size are prepared ahead; 256 on a machine that trades all day. No more:
    # a replay holds whole segments.
    segment_mib: Annotated[int, msgspec.Meta(ge=1, le=256)] = 256
    order_timeout_ms: Milliseconds = 2_000
    order_valid_for_ms: Milliseconds = 5_000
    # A position that is not the venue's for so long halts the account (R19).
    recon_break_after_ms: Milliseconds = RECON_BREAK_AFTER_MS
    installation: Annotated[int, msgspec.Meta(ge=1, le=2**32 - 1)] = 1
    # halted: after an unclean stop the engine starts HALTED, and two people clear it. Default:
    # halted where limits.trading is live, else resume (restart_policy_of).
    restart_policy: Literal["resume", "halted"] | None = None
    # So many unclean starts within the window start HALTED too; 0: off, for paper alone.
    crash_loop_starts: Annotated[int, msgspec.Meta(ge=0, le=1_000)] = 3
    crash_loop_window_s: Annotated[int, msgspec.Meta(ge=1, le=86_400)] = 60


class JournalSection(_Section, frozen=True, kw_only=True):
    """How much of the journal is kept. Orders and decisions are kept for ever.

    0: no limit. A limit is met only as far as no start needs what is over it: two snapshots and the
    recorder have to stand behind it. Another build has no snapshot to go on from: where record 1
    is gone, it wants a new run directory, and that begins without latch and epoch. So nothing goes
    unless somebody asks for it.
    """

    retention_gb: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 0
    retention_days: Annotated[int, msgspec.Meta(ge=0, le=36_500)] = 0


class PolicySection(_Section, frozen=True, kw_only=True):
    """What decides, and how long a position is held."""

    bundle: Annotated[str, msgspec.Meta(min_length=1)] = "baseline"
    # two_level: networks on 30-minute bars say which side, those on 5-minute bars time the entry.
    profile: Profile = "strategic_only"
    max_hold_bars: Annotated[int, msgspec.Meta(ge=0, le=100_000)] = 46
    flat_at_session_end: bool = False


class SynergySection(_Section, frozen=True, kw_only=True):
    """When three signals make a synergy. An input of the policy, never a precondition."""

    mlmi_min: Decimal = Decimal(10)  # |value - 50| of an MLMI signal
    slope_min: Decimal = Decimal("0.02")  # |slope| of a NW-RQK turn, in ATR
    window_bars: Annotated[int, msgspec.Meta(ge=1, le=96)] = 24  # of 5 minutes
    cooldown_bars: Annotated[int, msgspec.Meta(ge=0, le=10_000)] = 5


class KernelsSection(_Section, frozen=True, kw_only=True):
    """User kernels, and what happens when one fails."""

    # Python source, or a shared object of `gm kernels build`: a service that may not write
    # executable memory needs the latter. Relative to the settings file; empty: none.
    path: str = ""
    # halt: cancels only, on every instrument. skip: its column is 0, a rule holds.
    on_failure: Literal["halt", "skip"] = "halt"
    budget_us: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 200
    # A call that takes longer ends the process; the next start does not call that kernel.
    hang_ms: Annotated[int, msgspec.Meta(ge=10, le=600_000)] = 1_000


class AccountSection(_Section, frozen=True, kw_only=True):
    """All instruments together. Money in their one currency, 0 of it: not limited."""

    orders_per_second_max: Count
    orders_burst_max: Count
    cancels_per_second_max: Count
    # A cancel that finds the bucket empty is lost: it holds one for each open order that the core
    # can have (kOpenOrdersMax).
    cancels_burst_max: Annotated[int, msgspec.Meta(ge=256, le=1_000_000_000)]
    # Worst-case lots at their references, and at their margins.
    gross_notional_max: Decimal
    credit_max: Decimal
    # Realised and unrealised less commission, since the first start or since two people cleared
    # it; and below the highest of that. So many accepted prices in a row must say so.
    loss_max: Decimal
    drawdown_max: Decimal
    loss_confirmations: Annotated[int, msgspec.Meta(ge=2, le=16)]


class BracketSection(_Section, frozen=True, kw_only=True):
    """Stop and target of a position, in ATR 14 of 30-minute bars from the price paid; 0: none."""

    stop_atr: Decimal = Decimal(0)
    target_atr: Decimal = Decimal(0)
    trailing_stop: bool = False


class TradingSection(_Section, frozen=True, kw_only=True):
    """One instrument: its size and its limits."""

    target_lots: Lots
    order_quantity_lots_max: Lots
    # In the instrument's currency, whole micro-units; market orders count at the worst collar.
    order_notional_max: Decimal
    # In steps of 0.0001: the core counts parts per million.
    collar_percent: Decimal
    collar_ticks_min: CountOrZero
    reference_age_ms_max: Milliseconds
    position_lots_max: Lots
    orders_per_second_max: Count
    orders_burst_max: Count
    duplicates_max: Annotated[int, msgspec.Meta(ge=1, le=64)]
    duplicate_window_ms: Milliseconds
    # 0 only where the account has no credit limit.
    margin_per_lot: Decimal
    # Of this instrument alone; 0: not limited.
    loss_max: Decimal
    # More executions than this within the window halt the instrument; 0: not limited.
    repeat_executions_max: Annotated[int, msgspec.Meta(ge=0, le=63)]
    repeat_window_ms: Milliseconds
    sides: tuple[Literal["buy", "sell"], ...] = ("buy", "sell")
    types: tuple[Literal["market", "limit", "stop"], ...] = ("market",)
    # Needs "stop" and "limit" among the types; its orders count against every limit, too.
    bracket: BracketSection = BracketSection()


class VenueSection(_Section, frozen=True, kw_only=True):
    """The simulator's manners. Its dice are seeded on its command line."""

    latency_us: Annotated[int, msgspec.Meta(ge=0, le=86_400_000_000)] = 0
    slippage_ticks: CountOrZero = 1
    partial_fill_ppm: PerMillion = 0
    reject_ppm: PerMillion = 0
    # By instrument: commission a lot in currency, basis points of the notional. The venue wants an
    # entry in one of them, be it 0.
    commission_per_lot: dict[str, Decimal] = {}
    commission_bps: dict[str, Decimal] = {}


class WarmupFile(_Section, frozen=True, kw_only=True):
    """A file of bars, and what ``gm.read_bars`` may ask about it."""

    path: FileName
    timezone: str | None = None
    bar_minutes: Annotated[int, msgspec.Meta(ge=1, le=30)] | None = None
    day_first: bool | None = None


class MetricsSection(_Section, frozen=True, kw_only=True):
    """Where /metrics, /health and /ready answer. Loopback only; port 0 takes a free one."""

    host: Literal["127.0.0.1", "::1"] = "127.0.0.1"
    port: Port = 9464


class StoreSection(_Section, frozen=True, kw_only=True):
    """The recorder's batches. The database is a view of the journal, never read to trade."""

    batch_records_max: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 20_000
    # Signals and systemd's watchdog are attended to as often.
    poll_ms: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 50


class ModelsSection(_Section, frozen=True, kw_only=True):
    """The registry that an engine follows, and what is asked of a bundle in it."""

    # Folder, relative to the settings file: the engine shadows and decides as it says of
    # policy.profile. Empty: it follows none, and policy.bundle decides for good.
    registry: str = ""
    # A live model that takes longer three times in a row gives way to the one before it; 0: none.
    budget_us: Microseconds = 0
    signature: Literal["optional", "required"] = "optional"
    # Who may sign and promote, relative to the settings file. Empty: signatures are not checked,
    # and anybody may promote.
    people_file: str = ""


class LimitsSection(_Section, frozen=True, kw_only=True):
    """Whether orders cost money, and where the signatures for the limits lie."""

    # live: refuses to start without a set of limits that enough people have signed.
    trading: Literal["paper", "live"] = "paper"
    # Folder of the sets and who may sign them, relative to the settings file.
    folder: str = ""
    people_file: str = ""


class Settings(_Section, frozen=True, kw_only=True):
    """The whole of configs/*.yaml."""

    instruments_file: str = "instruments.yaml"
    engine: EngineSection = EngineSection()
    journal: JournalSection = JournalSection()
    policy: PolicySection = PolicySection()
    synergy: SynergySection = SynergySection()
    kernels: KernelsSection = KernelsSection()
    limits: LimitsSection = LimitsSection()
    account: AccountSection
    trading: dict[str, TradingSection]
    venue: VenueSection = VenueSection()
    # By instrument, relative to the settings: bars for what journal and venue do not have when an
    # engine starts. In lockstep the tape itself warms up.
    warmup: dict[str, FileName | WarmupFile] = {}
    metrics: MetricsSection = MetricsSection()
    store: StoreSection = StoreSection()
    models: ModelsSection = ModelsSection()


_WARMUP: Any = FileName | WarmupFile


def load_settings(path: Path) -> Settings:
    """Read and check a configuration file, and that the instruments it names exist.

    Parameters
    ----------
    path : Path
        A YAML file such as ``configs/development.yaml``.

    Returns
    -------
    Settings
        The frozen tree.

    Raises
    ------
    ConfigError
        Names file, key, value and what is allowed.

    Source
    ------
    Ours.
    """
    tree = load_tree(path)
    convert_entries(path, tree, ("trading",), TradingSection)
    convert_entries(path, tree, ("venue", "commission_per_lot"), Decimal)
    convert_entries(path, tree, ("venue", "commission_bps"), Decimal)
    convert_entries(path, tree, ("warmup",), _WARMUP)
    settings = convert(path, tree, Settings)
    for symbol, section in settings.trading.items():
        _check_trading(path, symbol, section)
    _check_account(path, settings)
    for name in ("commission_per_lot", "commission_bps"):
        for symbol, value in getattr(settings.venue, name).items():
            _check_decimal(path, f"venue.{name}.{symbol}", value, Decimal(0), Decimal(1_000_000))
    _check_decimal(path, "synergy.mlmi_min", settings.synergy.mlmi_min, Decimal(0), Decimal(50))
    _check_decimal(path, "synergy.slope_min", settings.synergy.slope_min, Decimal(0), Decimal(1))
    _check_symbols(path, settings)
    if settings.models.signature == "required" and not settings.models.people_file:
        raise ConfigError(f"{path}: models.people_file: models.signature: required wants signers")
    if settings.limits.trading == "live" and not settings.engine.crash_loop_starts:
        raise ConfigError(f"{path}: engine.crash_loop_starts: 0 is for limits.trading: paper")
    check_profile(path, settings)
    return settings


def check_profile(path: Path, settings: Settings) -> None:
    """Refuse a profile whose other settings do not let it decide.

    Parameters
    ----------
    path : Path
        The file, for the error's text.
    settings : Settings
        The tree.

    Raises
    ------
    ConfigError
        If rule has no file of kernels.

    Source
    ------
    Ours.
    """
    if settings.policy.profile == "rule" and not settings.kernels.path:
        raise ConfigError(
            f"{path}: kernels.path: policy.profile: rule wants a file with a @gm.rule"
        )


def restart_policy_of(settings: Settings) -> Literal["resume", "halted"]:
    """Say what follows an unclean stop.

    Parameters
    ----------
    settings : Settings
        The checked tree.

    Returns
    -------
    str
        As written, or what the kind of trading asks for: where orders cost money a person looks
        before any leaves.

    Source
    ------
    Ours; SAFETY, "restart_policy".
    """
    if settings.engine.restart_policy is not None:
        return settings.engine.restart_policy
    return "halted" if settings.limits.trading == "live" else "resume"


def config_hash(settings: Settings) -> str:
    """SHA-256 of the effective configuration, as hex: equal trees, equal hash."""
    return hashlib.sha256(msgspec.json.encode(settings, order="sorted")).hexdigest()


def _check_decimal(path: Path, key: str, value: Decimal, low: Decimal, high: Decimal) -> None:
    if not math.isfinite(value) or not low <= value <= high:
        raise ConfigError(f"{path}: {key}: {value} is not within [{low}, {high}]")


def _check_steps(path: Path, key: str, value: Decimal, step: Decimal) -> None:
    if value % step:
        raise ConfigError(f"{path}: {key}: {value} is not a multiple of {step}")


def _check_money(path: Path, key: str, value: Decimal) -> None:
    _check_decimal(path, key, value, Decimal(0), Decimal(10**12))
    _check_steps(path, key, value, Decimal("0.000001"))


def _check_account(path: Path, settings: Settings) -> None:
    account = settings.account
    for name in ("gross_notional_max", "credit_max", "loss_max", "drawdown_max"):
        _check_money(path, f"account.{name}", getattr(account, name))
    for symbol, section in settings.trading.items():
        if account.credit_max and not section.margin_per_lot:
            raise ConfigError(
                f"{path}: trading.{symbol}.margin_per_lot: 0 is none, and account.credit_max is "
                f"{account.credit_max}"
            )


def _check_symbols(path: Path, settings: Settings) -> None:
    table_path = path.parent / settings.instruments_file
    if not table_path.is_file():
        raise ConfigError(f"{path}: instruments_file: {table_path}: no such file")
    known = load_instruments(table_path)
    named: dict[str, Mapping[str, object]] = {
        "trading": settings.trading,
        "venue.commission_per_lot": settings.venue.commission_per_lot,
        "venue.commission_bps": settings.venue.commission_bps,
        "warmup": settings.warmup,
    }
    for section, entries in named.items():
        for symbol in entries:
            if symbol not in known:
                shown = symbol[:40]
                raise ConfigError(
                    f"{path}: {section}.{shown}: {shown!r} is not in {table_path}: "
                    f"{', '.join(known)}"
                )


def _check_trading(path: Path, symbol: str, section: TradingSection) -> None:
    key = f"trading.{symbol}"
    _check_decimal(
        path, f"{key}.order_notional_max", section.order_notional_max, Decimal(1), Decimal(10**12)
    )
    _check_decimal(
        path, f"{key}.collar_percent", section.collar_percent, Decimal("0.0001"), Decimal(100)
    )
    _check_steps(path, f"{key}.order_notional_max", section.order_notional_max, Decimal("0.000001"))
    _check_steps(path, f"{key}.collar_percent", section.collar_percent, Decimal("0.0001"))
    for name in ("margin_per_lot", "loss_max"):
        _check_money(path, f"{key}.{name}", getattr(section, name))
    if section.order_quantity_lots_max < 2 * section.target_lots:
        raise ConfigError(
            f"{path}: {key}.order_quantity_lots_max: {section.order_quantity_lots_max} is less "
            f"than a reversal of 2 x target_lots = {2 * section.target_lots}"
        )
    if section.position_lots_max < section.target_lots:
        raise ConfigError(
            f"{path}: {key}.position_lots_max: {section.position_lots_max} is less than "
            f"target_lots = {section.target_lots}"
        )
    for name in ("sides", "types"):
        if not getattr(section, name):
            raise ConfigError(f"{path}: {key}.{name}: must name at least one")
