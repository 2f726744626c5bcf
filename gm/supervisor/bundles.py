"""Bundles as an engine takes them: where ``policy.bundle`` lies, and what the core is given."""

from pathlib import Path

import msgspec

from gm._native.features import strategic_schema
from gm.config.block import NO_GUARD, Agents, Guard, Tactical, build_model
from gm.config.run_dir import Prepared
from gm.config.settings import Settings
from gm.errors import ConfigError, UsageError
from gm.models import SHIPPED, Bundle, agent_rows, load_bundle, tactical_rows
from gm.models.manifest import MANIFEST
from gm.models.registry import find_entry
from gm.models.registry_state import Entry, read_registry
from gm.models.verification import Terms, terms_of, verify_bundle

COLUMNS: tuple[str, ...] = tuple(name for name, _ in strategic_schema())


class Following(msgspec.Struct, frozen=True, kw_only=True):
    """What an engine follows. ``root``: None: nothing, it is only watched.

    ``first``: the bundle that the run began with. ``kernels``: SHA-256 of its feature kernels.
    """

    profile: str
    root: Path | None = None
    terms: Terms = Terms()
    kernels: tuple[str, ...] = ()
    first: Bundle | None = None


def registry_root(config: Path, settings: Settings) -> Path | None:
    """Folder of the registry that a configuration names; None: it names none."""
    return config.parent / settings.models.registry if settings.models.registry else None


def find_bundle(config: Path, settings: Settings, begun_with: str | None = None) -> Bundle:
    """Load the bundle that a run begins with.

    Parameters
    ----------
    config : path
        The settings file: folders are relative to it.
    settings : Settings
        ``policy.bundle`` is the name of a shipped bundle, else a folder, else, where
        ``models.registry`` is set, what ``gm models`` calls a registered bundle.
    begun_with : str, optional
        SHA-256 of the bundle that a run directory was made with: of a registered name, that one is
        meant, whatever has become of it since.

    Returns
    -------
    Bundle

    Raises
    ------
    ConfigError
        If there is none, it is damaged, or a registered one is not live or has a fault.
    """
    name = settings.policy.bundle
    if name in SHIPPED:
        return load_bundle(SHIPPED[name])
    folder, root = config.parent / name, registry_root(config, settings)
    if root is None or (folder / MANIFEST).exists():
        return load_bundle(folder)
    if begun_with is not None:
        return load_bundle(_begun_with(root, settings, begun_with))
    entry = _live(root, settings)
    folder = root / entry.folder
    found = verify_bundle(folder, terms_of(config, settings), entry.sha256)
    if not found.is_sound:
        raise ConfigError(f"policy.bundle: {folder}: {found.faults[0]}")
    return load_bundle(folder)


def find_following(config: Path, settings: Settings, prepared: Prepared) -> Following:
    """What the engine of a run directory follows; a rule decides without models.

    Raises
    ------
    ConfigError
        If the bundle that the run began with is gone, or people.yaml is refused.
    """
    profile = settings.policy.profile
    return Following(
        profile=profile,
        root=None if profile == "rule" else registry_root(config, settings),
        terms=terms_of(config, settings),
        kernels=prepared.feature_kernels,
        first=find_bundle(config, settings, prepared.manifest.bundle_sha256),
    )


def _begun_with(root: Path, settings: Settings, sha256: str) -> Path:
    entry = read_registry(root).of_hash(sha256)
    if entry is None:
        raise ConfigError(
            f"policy.bundle: {settings.policy.bundle}: {root} does not know {sha256}, with which "
            "the run began"
        )
    return root / entry.folder


def _live(root: Path, settings: Settings) -> Entry:
    name, profile = settings.policy.bundle, settings.policy.profile
    state = read_registry(root)
    live = state.live(profile)
    if live is not None and name in (live.name, live.folder):
        return live  # of several versions of one name
    try:
        entry = find_entry(state, name)
    except UsageError as error:
        raise ConfigError(f"policy.bundle: {root}: {error}") from error
    if entry is not live:
        raise ConfigError(
            f"policy.bundle: {entry.folder} is {entry.state} for {entry.profile}, must be live for "
            f"{profile}: gm models promote"
        )
    return entry


def engine_agents(bundle: Bundle) -> Agents:
    """Put a bundle's agents into the form of a settings or model block."""
    rows, onnx = agent_rows(bundle)
    team = tactical_rows(bundle)
    return Agents(
        rows=rows,
        onnx=onnx,
        threshold=bundle.manifest.threshold,
        feature_schema_sha256=bytes.fromhex(bundle.manifest.feature_schema_sha256),
        bundle_sha256=bytes.fromhex(bundle.sha256),
        tactical=None if team is None else Tactical(settings=team[0], rows=team[1], onnx=team[2]),
    )


def engine_guard(bundle: Bundle) -> Guard:
    """Ranges of the columns that a bundle's strategic agents look at, as its training fitted them.

    Raises
    ------
    ConfigError
        If the guard names a column that this build does not compute, or leaves one out.
    """
    training = bundle.manifest.training
    if training is None or training.guard is None:
        return NO_GUARD
    guard = training.guard
    if unknown := [name for name in guard.names if name not in COLUMNS]:
        raise ConfigError(f"{bundle.path}: training.guard: no such columns: {', '.join(unknown)}")
    fitted = {COLUMNS.index(name): at for at, name in enumerate(guard.names)}
    seen = {column for agent in bundle.manifest.agents for column in agent.columns}
    seen &= set(range(len(COLUMNS)))  # behind them lie those of user kernels
    if missing := sorted(seen - fitted.keys()):
        raise ConfigError(
            f"{bundle.path}: training.guard: agents look at columns without a range: "
            f"{', '.join(COLUMNS[column] for column in missing)}"
        )
    return Guard(
        ranges={
            column: (guard.low[fitted[column]], guard.high[fitted[column]])
            for column in sorted(seen)
        },
        columns_max=guard.columns_max,
        rows_max=guard.rows_max,
    )


def model_block(bundle: Bundle) -> bytes:
    """What ``Core.shadow_model`` takes; ConfigError as ``engine_guard``."""
    return build_model(engine_agents(bundle), engine_guard(bundle))


def kernel_fault(bundle: Bundle, kernels: tuple[str, ...]) -> str | None:
    """Say what is wrong if agents look at other columns of user kernels than a run computes.

    Parameters
    ----------
    bundle : Bundle
    kernels : tuple of str
        SHA-256 of the run's feature kernels, in the order of their columns.
    """
    wanted = bundle.manifest.kernels
    if kernels[: len(wanted)] == wanted:
        return None
    return (
        f"trained on feature kernels {', '.join(wanted)}, kernels.path gives "
        f"{', '.join(kernels) or 'none'}"
    )
