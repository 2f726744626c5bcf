"""What two people sign for in a run directory: one file a person in a folder of its own.

For a fall of the kill switch, under clear/, a signature names the latch, the number of its record,
the level that it falls to, the installation and the second it was made. So it is good for one step
of one latch of one run: a raise since then has written another record. What else is signed for so
(gm.kill.books) says in a Subject of its own what it is about.
"""

import contextlib
import hashlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Protocol

import msgspec

from gm.config.run_dir import write_whole
from gm.errors import ConfigError
from gm.models.bundle import read_bounded
from gm.models.signature import SIGNING_ROLES, Person, PersonName, load_private_key

WITHIN_S = 300
# A clock that is ahead by more than this has signed in the future.
AHEAD_S = 5
_BYTES_MAX = 4096

Hex64 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
Hex32 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]


class SignatureFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file of one person; a subclass says what it is about."""

    person: PersonName
    signed_s: int
    signature: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{128}$")]


class Subject(Protocol):
    """What is signed for. ``noun``, ``purpose``: in a text; ``file_type``: of its signatures."""

    folder: ClassVar[str]
    noun: ClassVar[str]
    purpose: ClassVar[str]
    file_type: ClassVar[type[SignatureFile]]

    def message(self, signed_s: int) -> bytes:
        """The bytes that are signed."""

    def named(self) -> dict[str, str | int]:
        """What a file says beside person, second and signature."""

    def fault(self, found: SignatureFile) -> str | None:
        """Say what else a file is about; None: this."""

    def is_over(self, found: SignatureFile) -> bool:
        """Say whether a file is of no more use once this has been done."""


class ClearSignature(SignatureFile, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """For one step of one latch."""

    latch_id: Hex32
    sequence: int
    level: str


class Fall(msgspec.Struct, frozen=True, kw_only=True):
    """One step down, as it is signed for."""

    folder: ClassVar[str] = "clear"
    noun: ClassVar[str] = "fall"
    purpose: ClassVar[str] = "clearing"
    file_type: ClassVar[type[SignatureFile]] = ClearSignature

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

    def named(self) -> dict[str, str | int]:
        """Latch, record and level."""
        return {"latch_id": self.latch_id, "sequence": self.sequence, "level": self.level}

    def fault(self, found: SignatureFile) -> str | None:
        """Say for what other latch or step a file is; None: for this one."""
        assert isinstance(found, ClearSignature)
        if found.latch_id != self.latch_id:
            return f"for latch {found.latch_id}; {self.latch_id} stands"
        if (found.sequence, found.level) != (self.sequence, self.level):
            return (
                f"for record {found.sequence} to {found.level}; "
                f"record {self.sequence} may fall to {self.level}"
            )
        return None

    def is_over(self, found: SignatureFile) -> bool:
        """Of this record or of one before it; those for the next may be there already."""
        assert isinstance(found, ClearSignature)
        return found.sequence <= self.sequence


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """Signatures that count, and what is wrong with the rest, by file."""

    good: tuple[SignatureFile, ...]
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
    run_dir: Path, subject: Subject, person: str, key_file: Path, people: Mapping[str, Person]
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
    if fault := person_fault(person, people, subject.purpose):
        raise ConfigError(f"--person {fault}")
    key = load_private_key(key_file)
    if key.public_key().public_bytes_raw().hex() != people[person].public_key:
        raise ConfigError(f"{key_file}: not the key that people.yaml has for {person}")
    signed_s = int(time.time())
    made = subject.file_type(
        person=person,
        signed_s=signed_s,
        signature=key.sign(subject.message(signed_s)).hex(),
        **subject.named(),
    )
    folder = run_dir / subject.folder
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"{person}.json"
    write_whole(path, msgspec.json.encode(made) + b"\n")
    return path


def person_fault(name: str, people: Mapping[str, Person], purpose: str) -> str | None:
    """Say why a person may not sign; None: they may."""
    person = people.get(name)
    if person is None:
        return f"{name} is not in people.yaml: {', '.join(people) or 'nobody'}"
    if person.role not in SIGNING_ROLES:
        return f"{name} is a {person.role}; {purpose} is for {' and '.join(SIGNING_ROLES)}"
    return None


def find_pair(run_dir: Path, subject: Subject, people: Mapping[str, Person]) -> Pair:
    """Judge every signature of a run directory.

    Parameters
    ----------
    run_dir : Path
    subject : Subject
        The one thing that signatures count for.
    people : mapping of str to Person

    Returns
    -------
    Pair
        The two newest good ones that lie within five minutes of each other, or the newest alone.
        Each file counts for the person whose name is in it, once.
    """
    good: dict[str, SignatureFile] = {}
    faults: dict[str, str] = {}
    for path in sorted((run_dir / subject.folder).glob("*.json")):
        found = _read(path, subject, faults)
        if found is None:
            continue
        if fault := _fault(found, subject, people):
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


def forget(run_dir: Path, used: Subject) -> None:
    """Remove the signatures for what is over."""
    for path in (run_dir / used.folder).glob("*.json"):
        found = _read(path, used, {})
        if found is not None and used.is_over(found):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()


def _read(path: Path, subject: Subject, faults: dict[str, str]) -> SignatureFile | None:
    try:
        return msgspec.json.decode(read_bounded(path, _BYTES_MAX), type=subject.file_type)
    except (ConfigError, msgspec.DecodeError, UnicodeDecodeError) as error:
        faults[path.name] = f"not a signature: {error}"
        return None


def _fault(found: SignatureFile, subject: Subject, people: Mapping[str, Person]) -> str | None:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    if fault := person_fault(found.person, people, subject.purpose):
        return fault
    if fault := subject.fault(found):
        return fault
    if found.signed_s > time.time() + AHEAD_S:
        return f"signed in the future: {found.signed_s}"
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(people[found.person].public_key))
        key.verify(bytes.fromhex(found.signature), subject.message(found.signed_s))
    except (InvalidSignature, ValueError):
        return f"not the signature of {found.person} over this {subject.noun}"
    return None
