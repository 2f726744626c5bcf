"""Limit sets: what an account may do, who wrote it down, until when, and who signed for it.

A folder holds every set that ever stood, ``0001.json`` first, each naming the one before it by
SHA-256, so that what a set raises is read from the folder and believed of nobody. Signatures are
over the canonical JSON of the whole set, which holds the keys of those who could sign when it was
written: who leaves later has signed for it all the same.
"""

import contextlib
import hashlib
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import msgspec

from gm.config.settings import AccountSection, Settings, TradingSection
from gm.errors import ConfigError
from gm.models.bundle import read_bounded
from gm.models.signature import SIGNING_ROLES, Person, PersonName, PublicKey

SET_BYTES_MAX = 1 << 20
FIRST = "0" * 64
EXPIRY_KEY = "expires_s"
# More of these is less: a longer window counts more orders, a larger margin needs more credit.
_TIGHTER_WHEN_LARGER = {"duplicate_window_ms", "repeat_window_ms", "margin_per_lot"}
# 0 of these is no limit at all.
_ZERO_IS_NONE = {
    "gross_notional_max",
    "credit_max",
    "loss_max",
    "drawdown_max",
    "repeat_executions_max",
}
# Of trading.<symbol>: what is no limit, but a size within them.
_NO_LIMITS = {"target_lots", "bracket"}

Hex64 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
Names = tuple[str, ...]
Value = int | str | Names  # decimals as text, so that no float is ever signed
Numbers = dict[str, Value]


class LimitSet(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One set.

    ``before_sha256``: of the set that it follows; FIRST: of none. ``signers``: who could sign when
    it was written, by public key; None: of before this was kept, today's people are asked.
    """

    format: Annotated[int, msgspec.Meta(ge=1, le=1)] = 1
    sequence: Annotated[int, msgspec.Meta(ge=1, le=9999)]
    before_sha256: Hex64
    author: PersonName
    created_s: Annotated[int, msgspec.Meta(ge=0, le=2**33)]
    expires_s: Annotated[int, msgspec.Meta(ge=0, le=2**33)]
    account: Numbers
    trading: dict[str, Numbers]
    signers: dict[PersonName, PublicKey] | None = None

    def message(self) -> bytes:
        """The bytes that are signed and hashed."""
        held = msgspec.to_builtins(self)
        if self.signers is None:  # as it was signed then
            del held["signers"]
        return b"grandmodel limits 1\n" + msgspec.json.encode(held, order="sorted")

    @property
    def sha256(self) -> str:
        """What the settings and the next set name it by."""
        return hashlib.sha256(self.message()).hexdigest()


class SetSignature(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """That one person has read the set and wants it."""

    person: PersonName
    signature: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{128}$")]


class SignedSet(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file of a set."""

    set: LimitSet
    signatures: tuple[SetSignature, ...] = ()


def numbers_of(settings: Settings) -> tuple[Numbers, dict[str, Numbers]]:
    """Every limit of a configuration, of the account and by instrument.

    Parameters
    ----------
    settings : Settings
        The checked tree.

    Returns
    -------
    tuple of dict and dict of dict
        Decimals as exact text; names of sides and types sorted.

    Source
    ------
    Ours.
    """
    trading = {}
    for symbol, section in settings.trading.items():
        found = msgspec.structs.asdict(section)
        trading[symbol] = {key: _plain(found[key]) for key in found if key not in _NO_LIMITS}
    account = {
        key: _plain(value) for key, value in msgspec.structs.asdict(settings.account).items()
    }
    return account, trading


def with_limits(config: Path, settings: Settings, found: LimitSet) -> Settings:
    """Give the settings that a set was signed for.

    Parameters
    ----------
    config : Path
        The settings file, for the error's text.
    settings : Settings
        The checked tree; what is no limit stays as it is.
    found : LimitSet

    Returns
    -------
    Settings

    Raises
    ------
    ConfigError
        If the set is of before a limit that the settings have.

    Source
    ------
    Ours; the inverse of ``numbers_of``.
    """
    trading = {}
    try:
        account = msgspec.convert(found.account, AccountSection)
        for symbol, section in settings.trading.items():
            if symbol not in found.trading:
                continue  # of another run
            held = msgspec.structs.asdict(section)
            kept = {key: held[key] for key in _NO_LIMITS}
            trading[symbol] = msgspec.convert({**found.trading[symbol], **kept}, TradingSection)
    except msgspec.ValidationError as error:
        raise ConfigError(
            f"{config}: set {found.sequence} of limits does not fit these settings: {error}"
        ) from error
    return msgspec.structs.replace(settings, account=account, trading=trading)


def _plain(value: object) -> Value:
    if isinstance(value, Decimal):
        return format(value.normalize(), "f")
    if isinstance(value, tuple):
        return tuple(sorted(set(value)))
    return int(str(value))


def raised_keys(before: LimitSet | None, after: LimitSet) -> tuple[str, ...]:
    """Name what a set allows that the one before it did not.

    Parameters
    ----------
    before, after : LimitSet
        ``before`` None: nothing was allowed.

    Returns
    -------
    tuple of str
        Keys as the configuration has them; empty: every number stays or is lowered.

    Source
    ------
    Ours; SAFETY, "Raising a limit takes two people, lowering one".
    """
    if before is None:
        return ("account", *(f"trading.{symbol}" for symbol in sorted(after.trading)))
    raised = [EXPIRY_KEY] if after.expires_s > before.expires_s else []
    raised += _raised(before.account, after.account, "account")
    for symbol in sorted(after.trading):
        old = before.trading.get(symbol)
        prefix = f"trading.{symbol}"
        raised += [prefix] if old is None else _raised(old, after.trading[symbol], prefix)
    return tuple(raised)


def _raised(before: Numbers, after: Numbers, prefix: str) -> list[str]:
    keys = sorted(before.keys() | after.keys())
    return [f"{prefix}.{key}" for key in keys if _is_looser(key, before.get(key), after.get(key))]


def _is_looser(key: str, before: Value | None, after: Value | None) -> bool:
    if before is None or after is None:
        return True  # a limit that only one of them knows: nobody can say that it is lower
    if isinstance(before, tuple) or isinstance(after, tuple):
        return not (
            isinstance(before, tuple) and isinstance(after, tuple) and set(after) <= set(before)
        )
    old, new = Decimal(before), Decimal(after)
    if old == new:
        return False
    if key in _ZERO_IS_NONE and (old == 0 or new == 0):
        return new == 0
    return new < old if key in _TIGHTER_WHEN_LARGER else new > old


def read_sets(folder: Path) -> tuple[SignedSet, ...]:
    """Read every set of a folder, oldest first; their numbers and hashes must follow.

    Raises
    ------
    ConfigError
        Names the file and what is wrong with it.
    """
    found: list[SignedSet] = []
    for path in sorted(folder.glob("*.json")):
        try:
            signed = msgspec.json.decode(read_bounded(path, SET_BYTES_MAX), type=SignedSet)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: not a set of limits: {error}") from error
        before = found[-1].set if found else None
        if path.name != set_name(signed.set.sequence) or signed.set.sequence != len(found) + 1:
            raise ConfigError(
                f"{path}: holds set {signed.set.sequence}, where set {len(found) + 1} should be"
            )
        if signed.set.before_sha256 != (FIRST if before is None else before.sha256):
            raise ConfigError(f"{path}: does not follow the set before it: one of them was changed")
        found.append(signed)
    return tuple(found)


def set_name(sequence: int) -> str:
    """File of a set."""
    return f"{sequence:04d}.json"


def signers_now(people: Mapping[str, Person]) -> dict[PersonName, PublicKey]:
    """Public keys of those who may sign limits, by name."""
    return {
        name: person.public_key
        for name, person in sorted(people.items())
        if person.role in SIGNING_ROLES
    }


def people_then(found: LimitSet, people: Mapping[str, Person]) -> Mapping[str, Person]:
    """Who could sign a set when it was written.

    Parameters
    ----------
    found : LimitSet
    people : mapping of str to Person
        Of today; for a set that does not say.

    Returns
    -------
    mapping of str to Person

    Source
    ------
    Ours.
    """
    if found.signers is None:
        return people
    return {name: Person(role="operator", public_key=key) for name, key in found.signers.items()}


def good_signers(
    signed: SignedSet, people: Mapping[str, Person]
) -> tuple[tuple[str, ...], dict[str, str]]:
    """Who has signed a set validly, each person once, and what is wrong with the others.

    Parameters
    ----------
    signed : SignedSet
    people : mapping of str to Person

    Returns
    -------
    tuple of str, dict of str to str
        Names; faults by name.

    Source
    ------
    RFC 8032, Edwards-Curve Digital Signature Algorithm, 2017, §5.1.
    """
    good: list[str] = []
    faults: dict[str, str] = {}
    message = signed.set.message()
    for one in signed.signatures:
        if fault := signing_fault(one.person, people):
            faults[one.person] = fault
        elif one.person in good:
            faults[one.person] = f"{one.person} has signed twice, which counts once"
        elif not _is_signature(people[one.person], one.signature, message):
            faults[one.person] = f"not the signature of {one.person} over this set"
        else:
            good.append(one.person)
    return tuple(good), faults


def signing_fault(name: str, people: Mapping[str, Person]) -> str | None:
    """Say why a person may not sign limits; None: they may."""
    person = people.get(name)
    if person is None:
        return f"{name} is not in people.yaml: {', '.join(people) or 'nobody'}"
    if person.role not in SIGNING_ROLES:
        return f"{name} is a {person.role}; limits are for {' and '.join(SIGNING_ROLES)}"
    return None


def _is_signature(person: Person, signature: str, message: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    with contextlib.suppress(InvalidSignature, ValueError):
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(person.public_key))
        key.verify(bytes.fromhex(signature), message)
        return True
    return False
