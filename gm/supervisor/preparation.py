"""A run directory before the engine starts: its settings block, made once and then kept.

A journal can be recovered only with the settings that wrote it. So the block is built on the first
start and used again, byte for byte, on every later one; a configuration that has changed since is
refused, naming ``--run-dir``.
"""

import hashlib
import os
from pathlib import Path

import msgspec

from gm.calendars import offset_table, session_table
from gm.config.block import UNSIGNED, Desk, Rows, SignedLimits, build_block
from gm.config.instruments import InstrumentConfig, load_instruments
from gm.config.run_dir import (
    KERNELS_FILE,
    MANIFEST_FILE,
    SETTINGS_FILE,
    Prepared,
    RunManifest,
    read_run,
    write_whole,
)
from gm.config.settings import RECON_BREAK_AFTER_MS, Settings
from gm.errors import ConfigError
from gm.kernels import Library, find_library, keep_library, kernel_rows
from gm.layout import KernelKind
from gm.limits import RunLimits, find_limits, limits_of_run, with_limits
from gm.models import Bundle, golden_check
from gm.supervisor.bundles import engine_agents, find_bundle, kernel_fault

# One range for all runs, so that the same settings give the same bytes next year.
CALENDAR_START_NS = 946_684_800_000_000_000  # 2000-01-01
CALENDAR_END_NS = 2_051_222_400_000_000_000  # 2035-01-01


def prepare_run(
    run_dir: Path, config: Path, settings: Settings, symbols: tuple[str, ...]
) -> Prepared:
    """Make or reuse the settings block of a run directory.

    Parameters
    ----------
    run_dir : Path
        Created with mode 0700 if absent.
    config : Path
        The settings file: ``instruments_file`` and a bundle's folder are relative to it.
    settings : Settings
        The checked tree.
    symbols : tuple of str
        The instruments of this run, in the order of their numbers on the wire.

    Returns
    -------
    Prepared
        With the block and the manifest.

    Raises
    ------
    ConfigError
        If an instrument is unknown or has no limits, the bundle is refused or its golden vectors
        disagree, the directory was made from other settings or another set of limits, or live
        trading has no signed set.

    Source
    ------
    Ours.
    """
    kept = run_dir / KERNELS_FILE
    settings_path, manifest_path = run_dir / SETTINGS_FILE, run_dir / MANIFEST_FILE
    is_begun = manifest_path.exists() and settings_path.exists()
    begun = read_run(run_dir).manifest if is_begun else None
    begun_with = begun.bundle_sha256 if begun else None
    of_run = _limits_of_run(config, settings, begun)
    if of_run is not None and of_run.reduces_because:
        # Its limits are those that it was signed for, whatever the file says by now.
        settings = with_limits(config, settings, of_run.set)
    parts = _parts(config, settings, symbols, kept, begun_with)
    limits = of_run.signed if of_run is not None else find_limits(config, settings)
    _make_folder(run_dir)
    if is_begun:
        prepared = _reuse(run_dir, settings, parts, limits)
        because = of_run.reduces_because if of_run is not None else ""
        return msgspec.structs.replace(prepared, reduces_because=because)
    block, manifest = _build(settings, parts, limits)
    if parts.library is not None:
        keep_library(parts.library, kept)
    write_whole(settings_path, block)
    write_whole(manifest_path, msgspec.json.format(msgspec.json.encode(manifest), indent=1))
    return Prepared(
        run_dir=run_dir, block=block, manifest=manifest, feature_kernels=parts.feature_kernels
    )


def build_run(
    config: Path, settings: Settings, symbols: tuple[str, ...]
) -> tuple[bytes, RunManifest]:
    """Settings block and manifest of a run that leaves no directory; as ``prepare_run``."""
    return _build(settings, _parts(config, settings, symbols))


def run_kernels(config: Path, settings: Settings, kept: Path | None = None) -> Library | None:
    """Library of the user kernels that a configuration names, built if need be; None: no kernels.

    ``kept`` is the copy that a run directory holds: as long as the source is the one that it was
    made from, a restart needs no compiler.
    """
    if not settings.kernels.path:
        return None
    path = config.parent / settings.kernels.path
    cache = _cache_folder() or config.parent / "var"
    return find_library(path, cache, kept)


class _Parts(msgspec.Struct, frozen=True):
    table: list[InstrumentConfig]
    bundle: Bundle
    library: Library | None
    kernels: Rows

    @property
    def feature_kernels(self) -> tuple[str, ...]:
        features = self.kernels[self.kernels["kind"] == KernelKind.FEATURE]
        return tuple(bytes(row["sha256"]).hex() for row in features)


def _parts(
    config: Path,
    settings: Settings,
    symbols: tuple[str, ...],
    kept: Path | None = None,
    begun_with: str | None = None,
) -> _Parts:
    if not symbols or len(set(symbols)) != len(symbols):
        raise ConfigError(f"--instrument: each symbol once, at least one: {', '.join(symbols)}")
    table = _instruments(config, settings, symbols)
    bundle = find_bundle(config, settings, begun_with)
    if settings.policy.profile == "two_level":
        _check_two_levels(config, settings, symbols, bundle)
    golden_check(bundle, cache=_cache_folder())
    library = run_kernels(config, settings, kept)
    rows = kernel_rows(
        library, profile=settings.policy.profile, on_failure=settings.kernels.on_failure
    )
    parts = _Parts(table, bundle, library, rows)
    if fault := kernel_fault(bundle, parts.feature_kernels):
        raise ConfigError(f"{bundle.path}: {fault}")
    return parts


def _check_two_levels(
    config: Path, settings: Settings, symbols: tuple[str, ...], bundle: Bundle
) -> None:
    """Entries are sent at market or as limits, as the tactical agents say (SPEC §5)."""
    for symbol in symbols:
        types = settings.trading[symbol].types
        if missing := sorted({"limit", "market"} - set(types)):
            raise ConfigError(
                f"{config}: trading.{symbol}.types: {', '.join(types)}: policy.profile: two_level "
                f"also sends {' and '.join(missing)} orders"
            )
    if bundle.manifest.tactical is None:
        raise ConfigError(
            f"policy.profile: two_level wants a bundle with tactical agents, and {bundle.path} has "
            "none: another policy.bundle, or strategic_only"
        )


def _build(
    settings: Settings, parts: _Parts, limits: SignedLimits = UNSIGNED
) -> tuple[bytes, RunManifest]:
    table, bundle = parts.table, parts.bundle
    desks = [_desk(row) for row in table]
    rules = parts.kernels[parts.kernels["kind"] == KernelKind.RULE]
    block = build_block(settings, desks, engine_agents(bundle), parts.kernels, limits)
    manifest = RunManifest(
        config_sha256=_config_hash(settings, parts),
        settings_sha256=hashlib.sha256(block).hexdigest(),
        instruments=tuple(row.symbol for row in table),
        tick_sizes=tuple(str(row.tick_size) for row in table),
        multipliers=tuple(str(row.multiplier_per_order_lot) for row in table),
        currencies=tuple(row.currency for row in table),
        bundle=bundle.manifest.name,
        bundle_label=bundle.manifest.label,
        bundle_sha256=bundle.sha256,
        agents=tuple(agent.name for agent in bundle.manifest.agents),
        kernels=tuple(name.decode() for name in parts.kernels["name"]),
        rule=rules["name"][0].decode() if len(rules) else "",
        limits_sequence=limits.sequence,
        limits_sha256=limits.sha256,
        limits_expire_s=limits.expires_s,
    )
    return block, manifest


def _limits_of_run(config: Path, settings: Settings, begun: RunManifest | None) -> RunLimits | None:
    """Of a directory that began with a signed set; None: of no other."""
    if begun is None or not begun.limits_sequence or settings.limits.trading == "paper":
        return None
    return limits_of_run(config, settings, begun.limits_sequence, begun.limits_sha256)


def _reuse(run_dir: Path, settings: Settings, parts: _Parts, limits: SignedLimits) -> Prepared:
    prepared = read_run(run_dir)
    made = prepared.manifest
    if made.limits_sha256 != limits.sha256:
        raise ConfigError(
            f"{run_dir}: its journal was written under {_named(made.limits_sequence)} of limits, "
            f"and {_named(limits.sequence)} stands: a replay needs the former; close its positions "
            "and give another --run-dir"
        )
    is_same = made.config_sha256 == _config_hash(settings, parts)
    # A decimal that was read back from a signed set is written otherwise, and means the same.
    if not is_same and limits.sequence:
        is_same = _build(settings, parts, limits)[0] == prepared.block
    if not is_same:
        raise ConfigError(
            f"{run_dir}: its journal was written with other settings, instruments or bundle; "
            "give another --run-dir or the settings it was made with"
        )
    return msgspec.structs.replace(prepared, feature_kernels=parts.feature_kernels)


def _named(sequence: int) -> str:
    return f"set {sequence}" if sequence else "no signed set"


def _instruments(
    config: Path, settings: Settings, symbols: tuple[str, ...]
) -> list[InstrumentConfig]:
    path = config.parent / settings.instruments_file
    table = load_instruments(path)
    for symbol in symbols:
        if symbol not in table:
            raise ConfigError(f"--instrument: {symbol!r} is not in {path}: {', '.join(table)}")
        if symbol not in settings.trading:
            raise ConfigError(f"{config}: trading.{symbol}: no size and no limits are written")
    return [table[symbol] for symbol in symbols]


def _config_hash(settings: Settings, parts: _Parts) -> str:
    # How the process runs does not change what it decides: those sections may differ.
    engine = settings.engine
    after_ms = engine.recon_break_after_ms
    deciding = (
        settings.policy,
        settings.synergy,
        settings.account,
        [settings.trading[row.symbol] for row in parts.table],
        (engine.order_timeout_ms, engine.order_valid_for_ms, engine.installation),
        parts.table,
        parts.bundle.sha256,
        parts.kernels.tobytes().hex(),
        # Not where it is the core's own, so that directories of before this key keep their hash.
        *([after_ms] if after_ms != RECON_BREAK_AFTER_MS else []),
    )
    return hashlib.sha256(msgspec.json.encode(deciding, order="sorted")).hexdigest()


def _make_folder(run_dir: Path) -> None:
    try:
        run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"--run-dir {run_dir}: {error.strerror}") from error


def _desk(row: InstrumentConfig) -> Desk:
    return Desk(
        symbol=row.symbol,
        instrument=row.to_row(),
        sessions=session_table(row, CALENDAR_START_NS, CALENDAR_END_NS),
        offsets=offset_table(row, CALENDAR_START_NS, CALENDAR_END_NS),
    )


def _cache_folder() -> Path | None:
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(base) / "grandmodel" if os.path.isabs(base) else None  # a user without a home
