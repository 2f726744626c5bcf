"""Who vouches for a bundle: an Ed25519 signature beside the manifest, over the manifest's bytes.

manifest.sig names a person of people.yaml; the key is the one written there, never one that the
bundle brings along. As the manifest holds the hashes of all files, the signature covers them all.
"""

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from gm.config.convert import convert, convert_entries
from gm.config.run_dir import write_whole
from gm.config.strict_yaml import load_tree
from gm.errors import ConfigError
from gm.models.bundle import MANIFEST_BYTES_MAX, read_bounded
from gm.models.manifest import MANIFEST, SIGNATURE

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_SIGNATURE_BYTES_MAX = 4096
_KEY_BYTES_MAX = 4096
SIGNING_ROLES = ("operator", "risk_admin")

PersonName = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_.-]{0,39}$")]
PublicKey = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class Person(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody of people.yaml. ``public_key``: the 32 bytes of an Ed25519 key in hex."""

    role: Literal["viewer", "trader", "operator", "risk_admin"]
    public_key: PublicKey


class _People(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    people: dict[PersonName, Person]


class _Signature(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    format: Literal[1]
    person: PersonName
    signature: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{128}$")]


def load_people(path: Path) -> Mapping[str, Person]:
    """Read people.yaml.

    Parameters
    ----------
    path : path
        ``people: {ada: {role: operator, public_key: <64 hex digits>}}``.

    Returns
    -------
    mapping of str to Person
        By name.

    Raises
    ------
    ConfigError
        Names file, key and value; also if two people have one key.

    Source
    ------
    Ours; ARCHITECTURE §7.
    """
    tree = load_tree(path)
    convert_entries(path, tree, ("people",), Person)
    people = convert(path, tree, _People).people
    owner: dict[str, str] = {}
    for name, person in people.items():
        other = owner.setdefault(person.public_key, name)
        if other != name:
            raise ConfigError(f"{path}: people.{name}.public_key is that of {other}")
    return MappingProxyType(people)


def sign_bundle(folder: Path, person: str, key_file: Path) -> str:
    """Write manifest.sig.

    Parameters
    ----------
    folder : path
        Of the bundle.
    person : str
        Name in people.yaml.
    key_file : path
        Unencrypted PKCS 8 in PEM, as ``openssl genpkey -algorithm ed25519`` writes it; mode 0600.

    Returns
    -------
    str
        The public key in hex: what people.yaml must hold.

    Raises
    ------
    ConfigError
        If the key file is open to others or holds no Ed25519 key, or there is no manifest.

    Source
    ------
    RFC 8032, Edwards-Curve Digital Signature Algorithm, 2017, §5.1.
    """
    key = load_private_key(key_file)
    manifest = read_bounded(folder / MANIFEST, MANIFEST_BYTES_MAX)
    try:
        made = msgspec.convert(
            {"format": 1, "person": person, "signature": key.sign(manifest).hex()}, _Signature
        )
    except msgspec.ValidationError as error:
        raise ConfigError(f"--person {person!r}: {error}") from error
    write_whole(folder / SIGNATURE, msgspec.json.encode(made) + b"\n")
    return key.public_key().public_bytes_raw().hex()


def load_private_key(key_file: Path) -> "Ed25519PrivateKey":
    """Read the key that a person signs with.

    Parameters
    ----------
    key_file : path
        Unencrypted PKCS 8 in PEM; mode 0600.

    Returns
    -------
    Ed25519PrivateKey

    Raises
    ------
    ConfigError
        If the file is open to others or holds no Ed25519 key.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    raw = read_bounded(key_file, _KEY_BYTES_MAX)
    mode = stat.S_IMODE(os.stat(key_file).st_mode)
    if mode & 0o077:
        raise ConfigError(f"{key_file}: mode {mode:04o} lets others in: chmod 0600")
    try:
        key = load_pem_private_key(raw, password=None)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{key_file}: not an unencrypted private key in PEM") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(f"{key_file}: not an Ed25519 key")
    return key


def signature_fault(
    folder: Path, manifest: bytes, people: Mapping[str, Person], *, is_required: bool
) -> str | None:
    """Say what is wrong with a bundle's signature.

    Parameters
    ----------
    folder : path
        Of the bundle.
    manifest : bytes
        As it was read and checked.
    people : mapping of str to Person
        Who may sign, if their role allows it.
    is_required : bool
        Whether a bundle without a signature is at fault.

    Returns
    -------
    str or None
        None: signed by somebody who may, or unsigned and that is allowed.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    if not os.path.lexists(folder / SIGNATURE):
        return f"{SIGNATURE}: missing, and models.signature is required" if is_required else None
    try:
        raw = read_bounded(folder / SIGNATURE, _SIGNATURE_BYTES_MAX)
        found = msgspec.json.decode(raw, type=_Signature)
    except ConfigError as error:
        return str(error)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return f"{SIGNATURE}: {error}"
    person = people.get(found.person)
    if person is None:
        return f"{SIGNATURE}: {found.person} is not in people.yaml: {', '.join(people) or 'nobody'}"
    if person.role not in SIGNING_ROLES:
        return (
            f"{SIGNATURE}: {found.person} is a {person.role}; signing is for "
            f"{' and '.join(SIGNING_ROLES)}"
        )
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(person.public_key))
        key.verify(bytes.fromhex(found.signature), manifest)
    except (InvalidSignature, ValueError):
        return f"{SIGNATURE}: not the signature of {found.person} over this manifest"
    return None


def signer(folder: Path) -> str | None:
    """Name in a bundle's signature, unchecked; None if there is none that can be read."""
    try:
        raw = read_bounded(folder / SIGNATURE, _SIGNATURE_BYTES_MAX)
        return msgspec.json.decode(raw, type=_Signature).person
    except (ConfigError, msgspec.DecodeError, UnicodeDecodeError):
        return None
