"""Who signs for a fall of the kill switch: one file a person under <run directory>/clear/.

A signature names the latch, the number of its record, the level that it falls to, the installation
and the second it was made. So it is good for one step of one latch of one run: a raise since then
has written another record.
"""

import contextlib
import hashlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec

from gm.config.run_dir import write_whole
from gm.errors import ConfigError
from gm.models.bundle import read_bounded
from gm.models.signature import SIGNING_ROLES, Person, PersonName, load_private_key

FOLDER = "clear"
WITHIN_S = 300
# A clock that is ahead by more than this has signed in the future.
AHEAD_S = 5
_BYTES_MAX = 4096

Hex32 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]


class Fall(msgspec.Struct, frozen=True, kw_only=True):
    """One step down, as it is signed for."""

    latch_id: str
    sequence: int
    level: str
    installation: int

    def message(self, signed_s: int) -> bytes:
        """The bytes that are signed."""
        return (
            f"grandmodel clear 1\nlatch {self.latch_id}\nrecord {self.sequence}\n"
            f"level {self.level}\ninstallation {self.installation}\nsigned {signed_s}\n"
        ).encode()


class ClearSignature(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file of one person."""

    person: PersonName
    latch_id: Hex32
    sequence: int
    level: str
    signed_s: int
    signature: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{128}$")]


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """Signatures that count for a fall, and what is wrong with the rest, by file."""

    good: tuple[ClearSignature, ...]
    faults: dict[str, str]

    @property
    def is_enough(self) -> bool:
        """Two people have signed within the five minutes."""
        return len(self.good) >= 2

    @property
    def sha256(self) -> bytes:
        """Of the two signatures, in the order of names: what journal and latch keep."""
        parts = sorted((found.person, found.signature) for found in self.good)
        return hashlib.sha256("".join(signature for _, signature in parts).encode()).digest()


def sign(
    run_dir: Path, fall: Fall, person: str, key_file: Path, people: Mapping[str, Person]
) -> Path:
    """Write one person's signature.

    Raises
    ------
    ConfigError
        The person is unknown or may not sign, or the key is not the one of people.yaml.

    Source
    ------
    RFC 8032, Edwards-Curve Digital Signature Algorithm, 2017, §5.1.
    """
    if fault := person_fault(person, people):
        raise ConfigError(f"--person {fault}")
    key = load_private_key(key_file)
    if key.public_key().public_bytes_raw().hex() != people[person].public_key:
        raise ConfigError(f"{key_file}: not the key that people.yaml has for {person}")
    signed_s = int(time.time())
    made = ClearSignature(
        person=person,
        latch_id=fall.latch_id,
        sequence=fall.sequence,
        level=fall.level,
        signed_s=signed_s,
        signature=key.sign(fall.message(signed_s)).hex(),
    )
    folder = run_dir / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"{person}.json"
    write_whole(path, msgspec.json.encode(made) + b"\n")
    return path


def person_fault(name: str, people: Mapping[str, Person]) -> str | None:
    """Say why a person may not sign; None: they may."""
    person = people.get(name)
    if person is None:
        return f"{name} is not in people.yaml: {', '.join(people) or 'nobody'}"
    if person.role not in SIGNING_ROLES:
        return f"{name} is a {person.role}; clearing is for {' and '.join(SIGNING_ROLES)}"
    return None


def find_pair(run_dir: Path, fall: Fall, people: Mapping[str, Person]) -> Pair:
    """Judge every signature of a run directory.

    Parameters
    ----------
    run_dir : Path
    fall : Fall
        The one step that signatures count for.
    people : mapping of str to Person

    Returns
    -------
    Pair
        The two newest good ones that lie within five minutes of each other, or the newest alone.
        Each file counts for the person whose name is in it, once.
    """
    good: dict[str, ClearSignature] = {}
    faults: dict[str, str] = {}
    for path in sorted((run_dir / FOLDER).glob("*.json")):
        found = _read(path, faults)
        if found is None:
            continue
        if fault := _fault(found, fall, people):
            faults[path.name] = fault
        elif found.person in good:
            faults[path.name] = f"{found.person} has signed already"
        else:
            good[found.person] = found
    newest = sorted(good.values(), key=lambda one: -one.signed_s)[:2]
    if len(newest) > 1 and newest[0].signed_s - newest[1].signed_s > WITHIN_S:
        expired = newest.pop()
        faults[f"{expired.person}.json"] = (
            f"expired: signed {newest[0].signed_s - expired.signed_s} s before the other, "
            f"at most {WITHIN_S} s"
        )
    return Pair(good=tuple(newest), faults=faults)


def forget(run_dir: Path, used: Fall) -> None:
    """Remove the signatures for a fall that is over; those for the next may be there already."""
    for path in (run_dir / FOLDER).glob("*.json"):
        found = _read(path, {})
        if found is not None and found.sequence <= used.sequence:
            with contextlib.suppress(FileNotFoundError):
                path.unlink()


def _read(path: Path, faults: dict[str, str]) -> ClearSignature | None:
    try:
        return msgspec.json.decode(read_bounded(path, _BYTES_MAX), type=ClearSignature)
    except (ConfigError, msgspec.DecodeError, UnicodeDecodeError) as error:
        faults[path.name] = f"not a signature: {error}"
        return None


def _fault(found: ClearSignature, fall: Fall, people: Mapping[str, Person]) -> str | None:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    if fault := person_fault(found.person, people):
        return fault
    if found.latch_id != fall.latch_id:
        return f"for latch {found.latch_id}; {fall.latch_id} stands"
    if (found.sequence, found.level) != (fall.sequence, fall.level):
        return (
            f"for record {found.sequence} to {found.level}; "
            f"record {fall.sequence} may fall to {fall.level}"
        )
    if found.signed_s > time.time() + AHEAD_S:
        return f"signed in the future: {found.signed_s}"
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(people[found.person].public_key))
        key.verify(bytes.fromhex(found.signature), fall.message(found.signed_s))
    except (InvalidSignature, ValueError):
        return f"not the signature of {found.person} over this fall"
    return None
