"""What a run directory keeps of its settings: its journal can be re-derived from it alone."""

import hashlib
import os
from pathlib import Path

import msgspec

from gm.errors import ConfigError

SETTINGS_FILE = "settings.bin"
MANIFEST_FILE = "run.json"
JOURNAL_FOLDER = "journal"
DATABASE_FILE = "gm.db"
STATUS_FILE = "last_status.json"
LEDGER_FILE = "venue_ledger.json"
KERNELS_FILE = "kernels.so"


class RunManifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a run directory was made from."""

    config_sha256: str
    settings_sha256: str
    instruments: tuple[str, ...]
    tick_sizes: tuple[str, ...]
    multipliers: tuple[str, ...]
    currencies: tuple[str, ...]
    bundle: str
    bundle_label: str
    bundle_sha256: str
    agents: tuple[str, ...]
    kernels: tuple[str, ...] = ()
    rule: str = ""  # of them the one that decides in place of the agents
    limits_sequence: int = 0  # of the signed set; 0: paper trading
    limits_sha256: str = ""
    limits_expire_s: int = 0


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """A run directory that the core may open.

    ``feature_kernels``: their SHA-256, for models. ``reduces_because``: why the run may only
    reduce; empty: it may trade.
    """

    run_dir: Path
    block: bytes
    manifest: RunManifest
    feature_kernels: tuple[str, ...] = ()
    reduces_because: str = ""


def read_run(run_dir: Path) -> Prepared:
    """Read the settings block and manifest of a directory that a run has left.

    Raises
    ------
    ConfigError
        If there is none, or the block is not the one that the manifest names.
    """
    try:
        manifest = msgspec.json.decode((run_dir / MANIFEST_FILE).read_bytes(), type=RunManifest)
        block = (run_dir / SETTINGS_FILE).read_bytes()
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigError(f"{run_dir}: not the directory of a run (--run-dir): {error}") from error
    found = hashlib.sha256(block).hexdigest()
    if found != manifest.settings_sha256:
        raise ConfigError(
            f"{run_dir / SETTINGS_FILE}: SHA-256 {found}, {MANIFEST_FILE} says "
            f"{manifest.settings_sha256}"
        )
    return Prepared(run_dir=run_dir, block=block, manifest=manifest)


def write_whole(path: Path, content: bytes) -> None:
    """Write beside, then rename: a crash leaves the old file or the new one, never half."""
    beside = path.with_name(path.name + ".new")
    with beside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)  # the name, too, outlives the power
    finally:
        os.close(folder)
