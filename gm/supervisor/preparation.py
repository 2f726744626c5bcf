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
from gm.config.block import Agents, Desk, build_block
from gm.config.instruments import load_instruments
from gm.config.run_dir import (
    MANIFEST_FILE,
    SETTINGS_FILE,
    Prepared,
    RunManifest,
    read_run,
    write_whole,
)
from gm.config.settings import Settings
from gm.errors import ConfigError
from gm.models import BASELINE_PATH, Bundle, agent_rows, golden_check, load_bundle

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
        disagree, or the directory was made from other settings.

    Source
    ------
    Ours.
    """
    if not symbols or len(set(symbols)) != len(symbols):
        raise ConfigError(f"--instrument: each symbol once, at least one: {', '.join(symbols)}")
    bundle = load_bundle(_bundle_path(config, settings.policy.bundle))
    instruments_file = config.parent / settings.instruments_file
    config_sha256 = _config_hash(settings, symbols, instruments_file, bundle)
    run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    golden_check(bundle, cache=_cache_folder())

    settings_path, manifest_path = run_dir / SETTINGS_FILE, run_dir / MANIFEST_FILE
    if manifest_path.exists() and settings_path.exists():
        return _reuse(run_dir, config_sha256)
    block = build_block(settings, _desks(symbols, instruments_file), _agents(bundle))
    table = load_instruments(instruments_file)
    manifest = RunManifest(
        config_sha256=config_sha256,
        settings_sha256=hashlib.sha256(block).hexdigest(),
        instruments=symbols,
        tick_sizes=tuple(str(table[s].tick_size) for s in symbols),
        multipliers=tuple(str(table[s].multiplier_per_order_lot) for s in symbols),
        currencies=tuple(table[s].currency for s in symbols),
        bundle=bundle.manifest.name,
        bundle_label=bundle.manifest.label,
        bundle_sha256=bundle.sha256,
        agents=tuple(agent.name for agent in bundle.manifest.agents),
    )
    write_whole(settings_path, block)
    write_whole(manifest_path, msgspec.json.format(msgspec.json.encode(manifest), indent=1))
    return Prepared(run_dir=run_dir, block=block, manifest=manifest)


def _reuse(run_dir: Path, config_sha256: str) -> Prepared:
    prepared = read_run(run_dir)
    if prepared.manifest.config_sha256 != config_sha256:
        raise ConfigError(
            f"{run_dir}: its journal was written with other settings, instruments or bundle; "
            "give another --run-dir or the settings it was made with"
        )
    return prepared


def _config_hash(
    settings: Settings, symbols: tuple[str, ...], instruments_file: Path, bundle: Bundle
) -> str:
    # How the process runs does not change what it decides: those sections may differ.
    deciding = (settings.policy, settings.account, [settings.trading.get(s) for s in symbols])
    engine = settings.engine
    parts = (
        msgspec.json.encode(deciding, order="sorted"),
        msgspec.json.encode(
            (engine.order_timeout_ms, engine.order_valid_for_ms, engine.installation)
        ),
        msgspec.json.encode(symbols),
        instruments_file.read_bytes(),
        bundle.sha256.encode(),
    )
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def _bundle_path(config: Path, name: str) -> Path:
    return BASELINE_PATH if name == "baseline" else config.parent / name


def _desks(symbols: tuple[str, ...], instruments_file: Path) -> list[Desk]:
    table = load_instruments(instruments_file)
    desks = []
    for symbol in symbols:
        if symbol not in table:
            raise ConfigError(
                f"--instrument: {symbol!r} is not in {instruments_file}: {', '.join(table)}"
            )
        row = table[symbol]
        desks.append(
            Desk(
                symbol=symbol,
                instrument=row.to_row(),
                sessions=session_table(row, CALENDAR_START_NS, CALENDAR_END_NS),
                offsets=offset_table(row, CALENDAR_START_NS, CALENDAR_END_NS),
                feed_bar_ns=60_000_000_000,
            )
        )
    return desks


def _agents(bundle: Bundle) -> Agents:
    rows, onnx = agent_rows(bundle)
    return Agents(
        rows=rows,
        onnx=onnx,
        threshold=bundle.manifest.threshold,
        feature_schema_sha256=bytes.fromhex(bundle.manifest.feature_schema_sha256),
        bundle_sha256=bytes.fromhex(bundle.sha256),
    )


def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "grandmodel"
