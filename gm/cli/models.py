"""`gm models`: arguments, and how bundles and their registry look on a terminal."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from cyclopts import App, Parameter

from gm.cli.options import Config, Json, config_path
from gm.cli.printing import PIPE_WIDTH

if TYPE_CHECKING:
    from rich.table import Table

    from gm.models.command import Doing, Listing, ModelsOptions, Shown
    from gm.models.manifest import Training
    from gm.models.registry import Change

HELP = """List, check and move model bundles: candidate, shadow, live, retired.

Example: gm models list
"""
Bundle = Annotated[str, Parameter(help="Name, folder, or four or more digits of the hash.")]
Registry = Annotated[
    Path | None,
    Parameter(help="Folder of the registry. Default: models.registry of the settings."),
]
Person = Annotated[str, Parameter(help="Who does it; in people.yaml if models.people_file is set.")]
Reason = Annotated[str, Parameter(help="Why; kept in the history.")]
Profile = Annotated[str | None, Parameter(help="Default: policy.profile of the settings.")]
ROOT = Path("var/models")

app = App(name="models", help=HELP, help_format="plaintext")


@app.command(name="list")
def list_(*, registry: Registry = None, config: Config = None, json: Json = False) -> int:
    """List the registered bundles and their states.

    Example: gm models list --json
    """
    from gm.models.command import list_models

    found = list_models(_options(registry, config))
    if not _printed(found, as_json=json):
        _print_listing(found)
    return 0


@app.command
def show(
    bundle: Bundle, /, *, registry: Registry = None, config: Config = None, json: Json = False
) -> int:
    """Show what a bundle is, what it was trained on, and its way through the registry.

    Example: gm models show baseline
    """
    from gm.models.command import show_model

    found = show_model(_options(registry, config), bundle)
    if not _printed(found, as_json=json):
        _print_shown(found)
    return 0


@app.command
def verify(
    bundle: Bundle, /, *, registry: Registry = None, config: Config = None, json: Json = False
) -> int:
    """Name every fault of a bundle; exit code 1 if there is one.

    Example: gm models verify baseline
    """
    from gm.models.command import verify_model

    found = verify_model(_options(registry, config), bundle)
    if not _printed(found, as_json=json):
        for fault in found.faults:
            print(fault)
        signed = f" of {found.signed_by}" if found.signed_by else ""
        count = len(found.faults)
        verdict = f"{count} {'fault' if count == 1 else 'faults'}" if count else "sound"
        print(f"{found.path}: {verdict}, signature{signed} {found.signature}")
    return 0 if found.is_sound else 1


@app.command
def add(
    folder: Annotated[Path, Parameter(help="Folder of a bundle, as gm export writes it.")],
    /,
    *,
    person: Person,
    reason: Reason,
    profile: Profile = None,
    registry: Registry = None,
    config: Config = None,
    json: Json = False,
) -> int:
    """Copy a bundle into the registry; it becomes a candidate.

    Example: gm models add var/train/bundle --person ada --reason "first sweep"
    """
    from gm.models.command import add_model

    change = add_model(_options(registry, config), folder, profile, _doing(person, reason))
    _print_change(change, as_json=json)
    return 0


@app.command
def promote(
    bundle: Bundle,
    /,
    *,
    to: Annotated[Literal["shadow", "live", "retired"], Parameter(help="Its next state.")],
    person: Person,
    reason: Reason,
    registry: Registry = None,
    config: Config = None,
    json: Json = False,
) -> int:
    """Verify a bundle whole, then move it one state on.

    Example: gm models promote mappo_btc --to shadow --person ada --reason "beats baseline"
    """
    from gm.models.command import promote_model

    change = promote_model(_options(registry, config), bundle, to, _doing(person, reason))
    _print_change(change, as_json=json)
    return 0


@app.command
def rollback(
    *,
    person: Person,
    reason: Reason,
    profile: Profile = None,
    registry: Registry = None,
    config: Config = None,
    json: Json = False,
) -> int:
    """Retire the live bundle of a profile and bring the last good one back.

    Example: gm models rollback --person ada --reason "late answers"
    """
    from gm.models.command import roll_back_model

    change = roll_back_model(_options(registry, config), profile, _doing(person, reason))
    _print_change(change, as_json=json)
    return 0


@app.command
def sign(
    bundle: Bundle,
    /,
    *,
    person: Annotated[str, Parameter(help="Name in people.yaml.")],
    key: Annotated[Path, Parameter(help="Ed25519 private key in PEM, mode 0600.")],
    registry: Registry = None,
    config: Config = None,
    json: Json = False,
) -> int:
    """Vouch for a bundle: write a signature over its manifest beside it.

    Example: gm models sign mappo_btc --person ada --key ada.pem
    """
    from gm.models.command import sign_model

    signed = sign_model(_options(registry, config), bundle, person, key)
    if not _printed(signed, as_json=json):
        print(f"{signed.path}: signed by {signed.person}, public key {signed.public_key}")
    return 0


@app.command
def tail(
    bundle: Bundle,
    folder: Annotated[Path, Parameter(help="Where the copy goes; must not exist.")],
    /,
    *,
    to: Annotated[Literal["f32", "bf16"], Parameter(help="Large matrices after the first layer.")],
    registry: Registry = None,
    config: Config = None,
    json: Json = False,
) -> int:
    """Copy a bundle and let it run with rounded weights, or with exact ones again.

    Golden vectors are checked first. The copy is another bundle: sign and add it anew.

    Example: gm models tail mappo_btc var/mappo_bf16 --to bf16
    """
    from gm.models.command import set_tail

    written = set_tail(_options(registry, config), bundle, folder, to)
    if not _printed(written, as_json=json):
        print(f"{written.path}: tail {written.tail}, sha256 {written.sha256}, not signed")
    return 0


def _options(registry: Path | None, config: Path | None) -> "ModelsOptions":
    from gm.models.command import ModelsOptions, configured_root

    path = config_path(config)
    root = registry or configured_root(path) or ROOT
    return ModelsOptions(root=root, config=path)


def _doing(person: str, reason: str) -> "Doing":
    from gm.models.command import Doing

    return Doing(person=person, reason=reason)


def _printed(value: msgspec.Struct, *, as_json: bool) -> bool:
    if as_json:
        print(msgspec.json.encode(value, enc_hook=str).decode())
    return as_json


def _print_change(change: "Change", *, as_json: bool) -> None:
    if _printed(change, as_json=as_json):
        return
    before = f"{change.before} -> " if change.before else ""
    print(f"{change.bundle}: {before}{change.state} ({change.profile})")
    if change.retired:
        print(f"{change.retired}: live -> retired")
    for fault in change.passed_over:
        print(f"passed over {fault}")


def _print_listing(found: "Listing") -> None:
    table = _table("bundle", "state", "profile", "since", "person", "reason")
    for row in found.bundles:
        table.add_row(
            row.bundle, row.state, row.profile, _moment(row.since_ts_ns), row.person, row.reason
        )
    if found.bundles:
        _print_table(table)
    else:
        print(f"{found.root}: no bundles; gm models add FOLDER adds one")
    for name in found.unlisted:
        print(f"{name}: in the folder, not in the registry")


def _print_shown(found: "Shown") -> None:
    manifest = found.manifest
    print(f"{manifest.name} ({manifest.label}), {found.path}")
    print(f"sha256 {found.sha256}, signature of {found.signed_by or 'nobody'}")
    state = found.state or "not registered"
    print(f"state {state}, threshold {manifest.threshold}, tail {manifest.tail}")
    agents = _table("agent", "file", "columns", "temperature")
    for agent in manifest.networks:
        columns = ", ".join(map(str, agent.columns))
        agents.add_row(agent.name, agent.file, columns, f"{agent.temperature:g}")
    _print_table(agents)
    training = manifest.training
    if training is not None:
        _print_training(training)
    for name, sha256 in manifest.documents.items():
        print(f"document {name}, sha256 {sha256[:12]}")
    for event in found.history:
        when = _moment(event.at_ts_ns)
        print(f"{when} {event.state} ({event.cause}) by {event.person}: {event.reason}")
    for note in found.notes:
        print(f"{_moment(note.at_ts_ns)} note by {note.person}: {note.text}")


def _print_training(training: "Training") -> None:
    """Data, split, seed, guard and figures: a line each."""
    for file, split in zip(training.data, training.splits, strict=True):
        print(f"data {file.name}, {file.instrument}, {file.bars:,} bars, sha256 {file.sha256[:12]}")
        for name in ("train", "validation", "test"):
            part = getattr(split, name)
            print(f"{name} {_moment(part.start_ts_ns)} to {_moment(part.end_ts_ns)}")
    parameters = (training.parameters_sha256 or "unknown")[:12]
    print(f"seed {training.seed}, code {training.code_version}, parameters {parameters}")
    if training.guard is not None:
        guard = training.guard
        print(
            f"guard of {len(guard.names)} columns: bears {guard.columns_max} outside, "
            f"{guard.rows_max} strange rows in a row"
        )
    for metric, value in training.metrics.items():
        print(f"{metric} {value:g}")


def _table(*names: str) -> "Table":
    from rich import box
    from rich.table import Table

    return Table(*names, box=box.HEAVY_HEAD if sys.stdout.isatty() else box.MARKDOWN)


def _print_table(table: "Table") -> None:
    from rich.console import Console

    width = None if sys.stdout.isatty() else PIPE_WIDTH
    Console(width=width, highlight=False, markup=False).print(table)


def _moment(ts_ns: int) -> str:
    return datetime.fromtimestamp(ts_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M UTC")
