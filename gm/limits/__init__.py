"""Signed limits: `gm limits sign | show | check`, and what a live start asks for.

One signature is enough for a set that lowers numbers or keeps them; what raises any of them, a
first set included, takes two people. A set is part of the settings of a run, so a run directory
keeps the one that it began with: another set means another run directory. Once that set has expired
or another stands, the directory still starts, to close its positions and no more.
"""

import time
from collections.abc import Mapping
from pathlib import Path

import msgspec

from gm.config.block import UNSIGNED, SignedLimits
from gm.config.run_dir import write_whole
from gm.config.settings import Settings, load_settings
from gm.errors import ConfigError
from gm.limits.seen import Seen, check_rollback, note_seen, read_seen
from gm.limits.sets import (
    FIRST,
    LimitSet,
    SetSignature,
    SignedSet,
    good_signers,
    numbers_of,
    people_then,
    raised_keys,
    read_sets,
    set_name,
    signers_now,
    signing_fault,
    with_limits as with_limits,
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
    report, _, _ = _judge(config, settings, now_s)
    if report.fault:
        raise ConfigError(f"{config}: limits.trading: live: {report.fault}")
    return SignedLimits(sequence=report.sequence, sha256=report.sha256, expires_s=report.expires_s)


class RunLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What a run that has begun is bound by. ``reduces_because``: why it may do no more."""

    set: LimitSet
    reduces_because: str

    @property
    def signed(self) -> SignedLimits:
        """As the settings block has it."""
        found = self.set
        return SignedLimits(sequence=found.sequence, sha256=found.sha256, expires_s=found.expires_s)


def limits_of_run(
    config: Path, settings: Settings, sequence: int, sha256: str, now_s: float | None = None
) -> RunLimits:
    """Give the limits that a run directory began with, and whether they still stand.

    Parameters
    ----------
    config : Path
    settings : Settings
    sequence : int
        Of the set, as the directory's manifest has it.
    sha256 : str
        Likewise.
    now_s : float, s
        Wall clock; None: now.

    Returns
    -------
    RunLimits
        A set that has expired, that another has replaced, or whose numbers the settings file does
        not hold any more binds all the same, and the run may only reduce.

    Raises
    ------
    ConfigError
        The set is gone, is another one or was not signed by enough people, or a newer one that
        stood is gone.

    Source
    ------
    Ours; SAFETY, "Paper trading until limits are signed".
    """
    report, sets, stands = _judge(config, settings, now_s)
    folder, people = _places(config, settings)
    name = folder / set_name(sequence)
    if sequence > len(sets) or sets[sequence - 1].set.sha256 != sha256:
        raise ConfigError(f"{name}: not the set {sha256} that the run directory began with")
    own = sets[sequence - 1]
    raises = raised_keys(sets[sequence - 2].set if sequence > 1 else None, own.set)
    signers, refused = good_signers(own, _judges(own, read_seen(folder), people))
    if len(signers) < needs(raises):
        raise ConfigError(f"{name}: {_too_few(signers, raises, refused)}")
    because = report.fault
    if stands > sequence:
        because = f"set {stands} stands, and this run began with set {sequence}"
    elif report.sequence > sequence:  # one that waits for signatures replaces nothing
        because = _fault_today(own.set, settings, now_s)
    return RunLimits(set=own.set, reduces_because=because)


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
    return _judge(config, settings, now_s)[0]


def _judge(
    config: Path, settings: Settings, now_s: float | None
) -> tuple[LimitsReport, tuple[SignedSet, ...], int]:
    """Describe the newest set, and keep its number once enough people have signed it.

    Also the sets, and the number of the last up to which enough have signed each.
    """
    folder, people = _places(config, settings)
    sets = read_sets(folder)
    seen = check_rollback(folder, sets)
    if not sets:
        raise ConfigError(f"{folder}: no set of limits: gm limits sign makes the first")
    fault, stands = "", 0
    for at, signed in enumerate(sets):
        raises = raised_keys(sets[at - 1].set if at else None, signed.set)
        signers, refused = good_signers(signed, _judges(signed, seen, people))
        if len(signers) < needs(raises) and not fault:
            name = folder / set_name(signed.set.sequence)
            fault = f"{name}: {_too_few(signers, raises, refused)}"
        if not fault:
            stands = signed.set.sequence
    newest = sets[-1].set
    if not fault:
        note_seen(folder, sets[-1], seen)
        fault = _fault_today(newest, settings, now_s)
    report = LimitsReport(
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
    return report, sets, stands


def _fault_today(found: LimitSet, settings: Settings, now_s: float | None) -> str:
    """Why a set that enough people signed does not hold now; empty: it does."""
    now = time.time() if now_s is None else now_s
    if found.expires_s <= now:
        return f"set {found.sequence} expired {int(now) - found.expires_s} s ago: gm limits sign"
    if differs := _difference(found, settings):
        return f"{differs} is not what set {found.sequence} was signed for: gm limits sign"
    return ""


def _judges(
    signed: SignedSet, seen: Seen | None, people: Mapping[str, Person]
) -> Mapping[str, Person]:
    """Who counts as a signer of a set.

    Those who were there when it was written, of a set that has stood: the hash of the newest that
    stood names all before it. What came since could bring any keys along, and one who lowers a
    limit after it would vouch for them: of its people, those who are in people.yaml today.
    """
    then = people_then(signed.set, people)
    if seen is not None and signed.set.sequence <= seen.sequence:
        return then
    keys = {name: person.public_key for name, person in then.items()}
    return {name: person for name, person in people.items() if keys.get(name) == person.public_key}


def _too_few(signers: tuple[str, ...], raises: tuple[str, ...], refused: dict[str, str]) -> str:
    return (
        f"signed by {len(signers)} of {needs(raises)} people: "
        f"{', '.join(refused.values()) or 'gm limits sign'}"
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
        seen = check_rollback(folder, sets)
        signers, _ = good_signers(newest, _judges(newest, seen, people))
        waits = len(signers) < needs(raised_keys(before, newest.set))
        differs = _difference(newest.set, settings)
        if waits and differs:
            raise ConfigError(
                f"{folder / set_name(newest.set.sequence)} waits for a signature and has another "
                f"{differs}: sign for it, or remove the file"
            )
        if waits and options.person in signers:
            raise ConfigError(f"--person {options.person} has signed already: another must, too")
        if waits and newest.set.signers not in (None, signers_now(people)):
            raise ConfigError(
                f"{folder / set_name(newest.set.sequence)} waits for a signature, and people.yaml "
                "has changed since it was written: remove the file and sign anew"
            )
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
            signers=signers_now(people),
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
