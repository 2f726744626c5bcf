"""Every fault of a bundle at once: what `gm models verify` prints and promotion asks for.

load_bundle stops at the first fault, because a service must not start on it; a person who mends a
bundle wants the whole list.
"""

import os
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import msgspec

from gm.config.settings import Settings
from gm.errors import ConfigError, CoreError
from gm.models.bundle import FILE_BYTES_MAX, MANIFEST_BYTES_MAX, read_bounded, schema_fault
from gm.models.golden import check_network
from gm.models.manifest import MANIFEST, SIGNATURE, Manifest, read_manifest
from gm.models.signature import Person, load_people, signature_fault, signer

_LISTED_MAX = 1000

Signature = Literal["absent", "unchecked", "good", "bad"]


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """Who may sign, and whether somebody must have. Nobody, nor must: signatures go unchecked."""

    people: Mapping[str, Person] = MappingProxyType({})
    is_signature_required: bool = False


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """What was found in a bundle's folder. ``sha256`` is the manifest's: the bundle's identity."""

    path: Path
    name: str | None = None
    sha256: str | None = None
    signature: Signature = "absent"
    signed_by: str | None = None
    faults: tuple[str, ...]

    @property
    def is_sound(self) -> bool:
        """Whether nothing was found."""
        return not self.faults


def terms_of(config: Path, settings: Settings) -> Terms:
    """What a configuration asks of signatures; ConfigError if its people.yaml is refused."""
    models = settings.models
    if not models.people_file:
        return Terms()
    return Terms(
        people=load_people(config.parent / models.people_file),
        is_signature_required=models.signature == "required",
    )


def verify_bundle(folder: Path, terms: Terms, registered_sha256: str | None = None) -> Verification:
    """Look for every fault of a bundle.

    Parameters
    ----------
    folder : path
        That holds manifest.json.
    terms : Terms
        What a signature must be.
    registered_sha256 : str, optional
        Of the manifest, where a registry remembers it.

    Returns
    -------
    Verification
        Faults name file and reason: keys, hashes, missing and extra files, feature schema, each
        network through the core and onnxruntime, signature.

    Source
    ------
    Ours.
    """
    try:
        raw = read_bounded(folder / MANIFEST, MANIFEST_BYTES_MAX)
    except ConfigError as error:
        return Verification(path=folder, faults=(str(error),))
    found = sha256(raw).hexdigest()
    manifest, reasons = read_manifest(raw)
    faults = [f"{MANIFEST}: {reason}" for reason in reasons]
    if registered_sha256 is not None and found != registered_sha256:
        faults.append(f"{MANIFEST}: SHA-256 {found}, the registry has {registered_sha256}")
    if manifest is not None:
        if fault := schema_fault(manifest):
            faults.append(f"{MANIFEST}: {fault}")
        faults += _file_faults(folder, manifest)
    person = signer(folder)
    signature: Signature = "absent" if person is None else "unchecked"
    if terms.people or terms.is_signature_required:
        fault = signature_fault(folder, raw, terms.people, is_required=terms.is_signature_required)
        if fault is not None:
            faults.append(fault)
            signature = "bad" if os.path.lexists(folder / SIGNATURE) else "absent"
        elif person is not None:
            signature = "good"
    return Verification(
        path=folder,
        name=None if manifest is None else manifest.name,
        sha256=found,
        signature=signature,
        signed_by=person,
        faults=tuple(faults),
    )


def _file_faults(folder: Path, manifest: Manifest) -> Iterator[str]:
    networks = {agent.file: agent for agent in manifest.networks}
    for name, expected in manifest.files.items():
        try:
            raw = read_bounded(folder / name, FILE_BYTES_MAX)
        except ConfigError as error:
            yield str(error)
            continue
        found = sha256(raw).hexdigest()
        if found != expected:
            yield f"{name}: SHA-256 {found}, manifest {expected}"
        agent = networks.get(name)
        if agent is None or agent.name not in manifest.golden.logits:
            continue
        try:
            check_network(agent, raw, manifest)
        except _network_errors() as error:
            yield f"{name}: {error}"
    allowed = {MANIFEST, SIGNATURE, *manifest.files}
    try:
        listed = set(os.listdir(folder))
    except OSError as error:  # moved away, or its rights were changed, while it was read
        yield f"{folder}: {error.strerror}"
        return
    for name in sorted(listed - allowed)[:_LISTED_MAX]:
        yield f"{name}: not in the manifest"


def _network_errors() -> tuple[type[Exception], ...]:
    """What a check of a network may end with: onnxruntime's own have no base of their own."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state  # slow: only after a failure

    found = [kind for kind in vars(state).values() if isinstance(kind, type)]
    foreign = [kind for kind in found if issubclass(kind, Exception)]
    return (ConfigError, CoreError, ValueError, IndexError, TypeError, *foreign)
