"""Signed limits: `gm limits sign | show | check`, and what a live start asks for.

One signature is enough for a set that lowers numbers or keeps them; what raises any of them, a
first set included, takes two people. A set is part of the settings of a run, so a run directory
keeps the one that it began with: another set means another run directory.
"""

import time
from collections.abc import Mapping
from pathlib import Path

import msgspec

from gm.config.block import UNSIGNED, SignedLimits
from gm.config.run_dir import write_whole
from gm.config.settings import Settings, load_settings
from gm.errors import ConfigError
from gm.limits.sets import (
    FIRST,
    LimitSet,
    SetSignature,
    SignedSet,
    good_signers,
    numbers_of,
    raised_keys,
    read_sets,
    set_name,
    signing_fault,
)
from gm.models.signature import Person, load_people, load_private_key

DAY_S = 86_400
DAYS_MAX = 400


class LimitsReport(msgspec.Struct, frozen=True, kw_only=True):
    """How the newest set stands. ``fault``: why live trading may not start; empty: it may."""

    sequence: int
    sha256: str
    author: str
    created_s: int
    expires_s: int
    raises: tuple[str, ...]
    signers: tuple[str, ...]
    signers_needed: int
    refused: dict[str, str]
    fault: str


def needs(raises: tuple[str, ...]) -> int:
    """How many people have to sign for a set that raises these keys."""
    return 2 if raises else 1


def find_limits(config: Path, settings: Settings, now_s: float | None = None) -> SignedLimits:
    """Give the limits that a run is bound by.

    Parameters
    ----------
    config : Path
        The settings file; folder and people are relative to it.
    settings : Settings
        The checked tree.
    now_s : float, s
        Wall clock; None: now.

    Returns
    -------
    SignedLimits
        With paper trading UNSIGNED.

    Raises
    ------
    ConfigError
        Live trading without a set that is signed by enough people, has not expired and holds the
        very numbers of the settings file.

    Source
    ------
    Ours; SAFETY, "Paper trading until limits are signed".
    """
    if settings.limits.trading == "paper":
        return UNSIGNED
    report = report_limits(config, settings, now_s)
    if report.fault:
        raise ConfigError(f"{config}: limits.trading: live: {report.fault}")
    return SignedLimits(sequence=report.sequence, sha256=report.sha256, expires_s=report.expires_s)


def report_limits(config: Path, settings: Settings, now_s: float | None = None) -> LimitsReport:
    """Judge every set of the folder and describe the newest.

    Parameters
    ----------
    config : Path
    settings : Settings
    now_s : float, s
        Wall clock; None: now.

    Returns
    -------
    LimitsReport

    Raises
    ------
    ConfigError
        If there is no set, or one of them cannot be read or does not follow the one before it.

    Source
    ------
    Ours.
    """
    folder, people = _places(config, settings)
    sets = read_sets(folder)
    if not sets:
        raise ConfigError(f"{folder}: no set of limits: gm limits sign makes the first")
    fault = ""
    for at, signed in enumerate(sets):
        raises = raised_keys(sets[at - 1].set if at else None, signed.set)
        signers, refused = good_signers(signed, people)
        if len(signers) < needs(raises) and not fault:
            fault = (
                f"{folder / set_name(signed.set.sequence)}: signed by {len(signers)} of "
                f"{needs(raises)} people: {', '.join(refused.values()) or 'gm limits sign'}"
            )
    newest = sets[-1].set
    now = time.time() if now_s is None else now_s
    if not fault and newest.expires_s <= now:
        fault = f"set {newest.sequence} expired {int(now) - newest.expires_s} s ago: gm limits sign"
    if not fault and (differs := _difference(newest, settings)):
        fault = f"{differs} is not what set {newest.sequence} was signed for: gm limits sign"
    return LimitsReport(
        sequence=newest.sequence,
        sha256=newest.sha256,
        author=newest.author,
        created_s=newest.created_s,
        expires_s=newest.expires_s,
        raises=raises,
        signers=signers,
        signers_needed=needs(raises),
        refused=refused,
        fault=fault,
    )


class SignOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line of `gm limits sign` says."""

    config: Path
    person: str
    key: Path
    days: int = 30


def sign_limits(options: SignOptions) -> LimitsReport:
    """Sign for the numbers of a settings file: a new set, or the newest if it holds them already.

    Parameters
    ----------
    options : SignOptions

    Returns
    -------
    LimitsReport
        Of the set after it.

    Raises
    ------
    ConfigError
        The person may not sign, has signed already, or the key is another one; a set that waits
        for its second signature holds other numbers.

    Source
    ------
    RFC 8032, Edwards-Curve Digital Signature Algorithm, 2017, §5.1.
    """
    if not 1 <= options.days <= DAYS_MAX:
        raise ConfigError(f"--days must lie in [1, {DAYS_MAX}]: {options.days}")
    settings = load_settings(options.config)
    folder, people = _places(options.config, settings)
    if fault := signing_fault(options.person, people):
        raise ConfigError(f"--person {fault}")
    key = load_private_key(options.key)
    if key.public_key().public_bytes_raw().hex() != people[options.person].public_key:
        raise ConfigError(f"{options.key}: not the key that people.yaml has for {options.person}")
    signed = _to_sign(folder, settings, options, people)
    made = SetSignature(person=options.person, signature=key.sign(signed.set.message()).hex())
    signed = msgspec.structs.replace(signed, signatures=(*signed.signatures, made))
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    text = msgspec.json.format(msgspec.json.encode(signed), indent=1)
    write_whole(folder / set_name(signed.set.sequence), text + b"\n")
    return report_limits(options.config, settings)


def _to_sign(
    folder: Path, settings: Settings, options: SignOptions, people: Mapping[str, Person]
) -> SignedSet:
    sets = read_sets(folder)
    newest = sets[-1] if sets else None
    now_s = int(time.time())
    if newest is not None:
        before = sets[-2].set if len(sets) > 1 else None
        signers, _ = good_signers(newest, people)
        waits = len(signers) < needs(raised_keys(before, newest.set))
        differs = _difference(newest.set, settings)
        if waits and differs:
            raise ConfigError(
                f"{folder / set_name(newest.set.sequence)} waits for a signature and has another "
                f"{differs}: sign for it, or remove the file"
            )
        if waits and options.person in signers:
            raise ConfigError(f"--person {options.person} has signed already: another must, too")
        if waits:
            return newest
    account, trading = numbers_of(settings)
    return SignedSet(
        set=LimitSet(
            sequence=len(sets) + 1,
            before_sha256=FIRST if newest is None else newest.set.sha256,
            author=options.person,
            created_s=now_s,
            expires_s=now_s + options.days * DAY_S,
            account=account,
            trading=trading,
        )
    )


def _difference(found: LimitSet, settings: Settings) -> str:
    account, trading = numbers_of(settings)
    for key in sorted(account.keys() | found.account.keys()):
        if account.get(key) != found.account.get(key):
            return f"account.{key}"
    for symbol in sorted(trading.keys() | found.trading.keys()):
        ours, theirs = trading.get(symbol, {}), found.trading.get(symbol, {})
        for key in sorted(ours.keys() | theirs.keys()):
            if ours.get(key) != theirs.get(key):
                return f"trading.{symbol}.{key}"
    return ""


def _places(config: Path, settings: Settings) -> tuple[Path, Mapping[str, Person]]:
    section = settings.limits
    if not section.folder or not section.people_file:
        raise ConfigError(f"{config}: limits.folder and limits.people_file: name both")
    return config.parent / section.folder, load_people(config.parent / section.people_file)
