"""What `gm models` does: find the bundle that is meant, read who may do what, call the registry."""

import time
from pathlib import Path
from typing import Literal

import msgspec

from gm.config.settings import load_settings
from gm.errors import UsageError
from gm.models import registry
from gm.models.bundle import FILE_BYTES_MAX, load_bundle, read_bounded, write_bundle
from gm.models.golden import golden_check
from gm.models.manifest import MANIFEST, Manifest
from gm.models.registry_state import Entry, Event, Note, State, read_registry
from gm.models.shipped import SHIPPED
from gm.models.signature import sign_bundle, signer
from gm.models.verification import Verification, terms_of, verify_bundle


class ModelsOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Where the registry is, and which settings file says who may sign and promote."""

    root: Path
    config: Path


class Doing(msgspec.Struct, frozen=True, kw_only=True):
    """Who changes the registry, and why."""

    person: str
    reason: str


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """One registered bundle in short, with its last step."""

    bundle: str
    sha256: str
    profile: str
    state: State
    since_ts_ns: int
    person: str
    reason: str


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """A registry. ``unlisted``: folders in it that nobody added."""

    root: Path
    bundles: tuple[Listed, ...]
    unlisted: tuple[str, ...]


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """One bundle in full; without state, history and notes if it is not registered."""

    path: Path
    sha256: str
    signed_by: str | None
    profile: str | None
    state: State | None
    history: tuple[Event, ...]
    notes: tuple[Note, ...]
    manifest: Manifest


class Signed(msgspec.Struct, frozen=True, kw_only=True):
    """A signature that was written, and the public key that people.yaml must hold."""

    path: Path
    person: str
    public_key: str


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """A bundle that was written beside another one, unsigned."""

    path: Path
    sha256: str
    tail: Literal["f32", "bf16"]


def configured_root(config: Path) -> Path | None:
    """``models.registry`` of the settings; None: they name none, or there are none."""
    if not config.exists():
        return None
    registry = load_settings(config).models.registry
    return config.parent / registry if registry else None


def list_models(options: ModelsOptions) -> Listing:
    """List what is registered, in the order of arrival."""
    state = read_registry(options.root)
    return Listing(
        root=options.root,
        bundles=tuple(_listed(entry) for entry in state.entries),
        unlisted=registry.unlisted(options.root, state),
    )


def show_model(options: ModelsOptions, bundle: str) -> Shown:
    """Show one bundle; ConfigError if it cannot be loaded."""
    folder, entry = _find(options, bundle)
    loaded = load_bundle(folder)
    return Shown(
        path=folder,
        sha256=loaded.sha256,
        signed_by=signer(folder),
        profile=None if entry is None else entry.profile,
        state=None if entry is None else entry.state,
        history=() if entry is None else entry.history,
        notes=() if entry is None else entry.notes,
        manifest=loaded.manifest,
    )


def verify_model(options: ModelsOptions, bundle: str) -> Verification:
    """Name every fault of a bundle, by the terms of the settings."""
    folder, entry = _find(options, bundle)
    terms = terms_of(options.config, load_settings(options.config))
    return verify_bundle(folder, terms, None if entry is None else entry.sha256)


def add_model(
    options: ModelsOptions, folder: Path, profile: str | None, doing: Doing
) -> registry.Change:
    """Copy a bundle into the registry; its profile is that of the settings if none is given."""
    settings = load_settings(options.config)
    wanted = settings.policy.profile if profile is None else profile
    terms = terms_of(options.config, settings)
    return registry.add_bundle(options.root, folder, wanted, _act(doing), terms)


def promote_model(
    options: ModelsOptions, bundle: str, target: registry.Target, doing: Doing
) -> registry.Change:
    """Move a bundle to its next state."""
    terms = terms_of(options.config, load_settings(options.config))
    return registry.promote(options.root, bundle, target, _act(doing), terms)


def roll_back_model(options: ModelsOptions, profile: str | None, doing: Doing) -> registry.Change:
    """Bring back the bundle that was live before."""
    settings = load_settings(options.config)
    wanted = settings.policy.profile if profile is None else profile
    terms = terms_of(options.config, settings)
    return registry.rollback(options.root, wanted, _act(doing), terms)


def sign_model(options: ModelsOptions, bundle: str, person: str, key_file: Path) -> Signed:
    """Sign a bundle where it lies, after it was found sound."""
    folder, _ = _find(options, bundle)
    load_bundle(folder)
    return Signed(path=folder, person=person, public_key=sign_bundle(folder, person, key_file))


def set_tail(
    options: ModelsOptions, bundle: str, folder: Path, tail: Literal["f32", "bf16"]
) -> Written:
    """Write a copy of a bundle that runs with another tail; ConfigError if its answers move."""
    if folder.exists():
        raise UsageError(f"{folder}: is there already; a bundle is written into a new folder")
    loaded = load_bundle(_find(options, bundle)[0])
    manifest = msgspec.structs.replace(loaded.manifest, tail=tail)
    golden_check(msgspec.structs.replace(loaded, manifest=manifest))
    documents = {
        name: read_bounded(loaded.path / name, FILE_BYTES_MAX) for name in manifest.documents
    }
    written = write_bundle(folder, manifest, loaded.onnx, documents)
    return Written(path=folder, sha256=written.sha256, tail=tail)


def _find(options: ModelsOptions, bundle: str) -> tuple[Path, Entry | None]:
    """Take a folder with a manifest as it is, else a registered bundle, else the shipped one."""
    state = read_registry(options.root)
    folder = Path(bundle)
    if folder.is_dir() and (len(folder.parts) > 1 or (folder / MANIFEST).exists()):
        path = folder.resolve()
        known = (e for e in state.entries if (options.root / e.folder).resolve() == path)
        return folder, next(known, None)
    try:
        entry = registry.find_entry(state, bundle)
    except UsageError:
        if bundle in SHIPPED and all(entry.name != bundle for entry in state.entries):
            return SHIPPED[bundle], None
        raise
    return options.root / entry.folder, entry


def _act(doing: Doing) -> registry.Act:
    return registry.Act(person=doing.person, reason=doing.reason, at_ts_ns=time.time_ns())


def _listed(entry: Entry) -> Listed:
    last = entry.history[-1]
    return Listed(
        bundle=entry.folder,
        sha256=entry.sha256,
        profile=entry.profile,
        state=entry.state,
        since_ts_ns=last.at_ts_ns,
        person=last.person,
        reason=last.reason,
    )
