"""`gm accept-books`: our books and the venue's side by side, and two signatures for the venue's.

R19 holds new risk back while they differ. If the difference is real, no reconciliation ends it: two
people who have looked at both accept the venue's books, for exactly the numbers that they were
shown, and the engine makes them its own and journals the difference. The level of the kill switch
stays where it is; it falls by `gm clear`.
"""

import hashlib
import os
import struct
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from gm._native.runtime import read_status
from gm.config.settings import load_settings
from gm.errors import UsageError
from gm.kill.clearing import people_of
from gm.kill.signatures import WITHIN_S, Hex64, SignatureFile, find_pair, sign

LOOK_S = 0.05
NOTHING = "0" * 64
# Until its io runs, a page has no fixed start of this life, and its books may be a former one's.
_BEGINNING = ("starting", "replaying")
# core/include/gm/engine/books.hpp: number, open orders of both, zero; then ours, then the venue's.
_ROW = struct.Struct("<4I qQqq qQqq")


class Books(msgspec.Struct, frozen=True, kw_only=True):
    """One side's books of an instrument. ``cash_micros``: sales less purchases."""

    position_lots: int
    cash_micros: int
    commission_micros: int
    open_orders: int


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """An instrument whose books are not the same."""

    number: int
    symbol: str
    ours: Books
    venues: Books

    @property
    def less_ours(self) -> Books:
        """The venue's books less ours: what an acceptance changes."""
        ours, venues = msgspec.structs.asdict(self.ours), msgspec.structs.asdict(self.venues)
        return Books(**{name: venues[name] - ours[name] for name in ours})


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """The books of a break. ``fault``: why they cannot be accepted; empty: they can."""

    sha256: str
    differences: tuple[Difference, ...]
    fault: str


class BooksSignature(SignatureFile, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """For the books of one break in one life of an engine."""

    books_sha256: Hex64
    life_ns: int


class Acceptance(msgspec.Struct, frozen=True, kw_only=True):
    """The books of one break, as they are signed for.

    The same books may come again, and what was signed for them before is not for them then.
    ``life_ns``: wall clock at which the engine started that shows them; ``after_s``: the second of
    the acceptance before this one, of the same life.
    """

    folder: ClassVar[str] = "accept"
    noun: ClassVar[str] = "break"
    purpose: ClassVar[str] = "accepting the venue's books"
    file_type: ClassVar[type[SignatureFile]] = BooksSignature

    books_sha256: str
    installation: int
    life_ns: int
    after_s: int = 0

    def message(self, signed_s: int) -> bytes:
        """The bytes that are signed."""
        return (
            f"grandmodel accept-books 1\nbooks {self.books_sha256}\n"
            f"installation {self.installation}\nlife {self.life_ns}\nsigned {signed_s}\n"
        ).encode()

    def named(self) -> dict[str, str | int]:
        """The digest of the books, and the life that shows them."""
        return {"books_sha256": self.books_sha256, "life_ns": self.life_ns}

    def fault(self, found: SignatureFile) -> str | None:
        """Say for what else a file is, or that its time is over; None: for these books, now."""
        assert isinstance(found, BooksSignature)
        if found.books_sha256 != self.books_sha256:
            return f"for books {found.books_sha256[:16]}; {self.books_sha256[:16]} stand"
        if found.life_ns != self.life_ns:
            return "for an engine that started at another time: look again"
        if found.signed_s <= self.after_s:
            return "of before the last acceptance: it was for that one"
        if (age_s := int(time.time()) - found.signed_s) > WITHIN_S:
            return f"expired: signed {age_s} s ago, at most {WITHIN_S} s"
        return None

    def is_over(self, found: SignatureFile) -> bool:
        """Of these books, or of another life; of other books nobody knows."""
        assert isinstance(found, BooksSignature)
        return found.books_sha256 == self.books_sha256 or found.life_ns != self.life_ns


class AcceptOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line of `gm accept-books` says. ``person`` None: look only."""

    run_dir: Path
    config: Path
    books: str | None = None
    person: str | None = None
    key: Path | None = None
    wait_s: float = 10.0


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it. ``signers``: who has signed for these books."""

    sha256: str
    differences: tuple[Difference, ...]
    signers: tuple[str, ...]
    is_accepted: bool
    note: str


def shown_books(status: Mapping[str, Any]) -> Shown:
    """Read both books of a break from a status page.

    Parameters
    ----------
    status : mapping
        As ``gm._native.runtime.read_status`` gives it.

    Returns
    -------
    Shown
        The digest is computed from the very rows that are shown, and is the engine's own, or they
        cannot be accepted.

    Source
    ------
    Ours; core/include/gm/engine/books.hpp.
    """
    differences = tuple(
        Difference(
            number=at,
            symbol=row["symbol"],
            ours=_books(row, ""),
            venues=_books(row, "venues_"),
        )
        for at, row in enumerate(status["instruments"])
        if row["books_differ"]
    )
    sha256 = hashlib.sha256(b"".join(map(_packed, differences))).hexdigest()
    fault = _fault(status["engine"], differences, sha256)
    if status["io"]["phase"] in _BEGINNING:
        fault = "the engine is starting: look again when it has spoken to the venue"
    return Shown(sha256=sha256 if differences else NOTHING, differences=differences, fault=fault)


def acceptance_of(status: Mapping[str, Any], shown: Shown, installation: int) -> Acceptance:
    """What is signed for to accept the books of a status page, as they are shown."""
    life_ns = int(status["io"]["started_wall_ns"])
    return Acceptance(books_sha256=shown.sha256, installation=installation, life_ns=life_ns)


def _books(row: Mapping[str, Any], whose: str) -> Books:
    return Books(**{name: int(row[whose + name]) for name in Books.__struct_fields__})


def _packed(difference: Difference) -> bytes:
    sides = []
    for books in (difference.ours, difference.venues):
        low, high = books.cash_micros & (2**64 - 1), books.cash_micros >> 64
        sides += [books.position_lots, low, high, books.commission_micros]
    open_orders = difference.ours.open_orders, difference.venues.open_orders
    return _ROW.pack(difference.number, *open_orders, 0, *sides)


def _fault(engine: Mapping[str, Any], differences: tuple[Difference, ...], sha256: str) -> str:
    if not engine["has_recon_break"]:
        return "no break stands: nothing is to be accepted"
    for one in differences:
        if one.ours.open_orders != one.venues.open_orders:
            return (
                f"{one.symbol}: {one.ours.open_orders} orders are open in our books and "
                f"{one.venues.open_orders} in the venue's: an order is not accepted away; gm kill "
                "--level killed cancels ours, the venue cancels its own"
            )
    if not differences:
        return (
            "the venue names an instrument that is not of this run, or has not reported since a "
            "late fill: nothing of ours can be set to it"
        )
    if engine["break_sha256"] != sha256:
        return "the books are moving: look again when the venue has reported"
    return ""


def accept_books(options: AcceptOptions) -> Accepted:
    """Show both books; with a person, sign for the venue's and, with the second, wait for it.

    Parameters
    ----------
    options : AcceptOptions
        ``books``: the first digits of the digest that this person was shown, 16 at least.

    Returns
    -------
    Accepted
        ``is_accepted``: the engine has made the venue's books its own.

    Raises
    ------
    UsageError
        No engine runs, no break stands, it is another one than was shown, it cannot be accepted,
        or this person has signed already.
    ConfigError
        The person, the role or the key is refused.

    Source
    ------
    Ours; SAFETY, R19.
    """
    status = _running_status(options.run_dir)
    shown = shown_books(status)
    settings = load_settings(options.config)
    is_look = options.person is None and not settings.models.people_file
    people = {} if is_look else people_of(options.config, settings)
    subject = acceptance_of(status, shown, settings.engine.installation)
    before = find_pair(options.run_dir, subject, people)
    signers = {found.person for found in before.good}
    is_accepted = False
    note = shown.fault or f"two people accept these: --books {shown.sha256[:16]} --person --key"
    if options.person is not None:
        key = _checked_key(options, shown)
        if options.person in signers:
            raise UsageError(f"--person {options.person} has signed for this: a second person")
        sign(options.run_dir, subject, options.person, key, people)
        # Not read again: two are taken at once, and their files go.
        signers.add(options.person)
        is_enough = len(signers) >= 2
        is_accepted = is_enough and _is_taken(options, shown)
        note = _note(is_enough, is_accepted)
    return Accepted(
        sha256=shown.sha256,
        differences=shown.differences,
        signers=tuple(sorted(signers)),
        is_accepted=is_accepted,
        note=note,
    )


def _running_status(run_dir: Path) -> dict[str, Any]:
    status = read_status(str(run_dir))
    try:
        os.kill(int(status["io"]["pid"]), 0)
    except PermissionError:
        pass
    except (ProcessLookupError, OverflowError):
        raise UsageError(f"--run-dir {run_dir}: no engine runs that could compare books") from None
    return status


def _checked_key(options: AcceptOptions, shown: Shown) -> Path:
    if options.key is None:
        raise UsageError("--key: the Ed25519 key of --person")
    if shown.fault:
        raise UsageError(shown.fault)
    books = options.books or ""
    if len(books) < 16 or not shown.sha256.startswith(books):
        raise UsageError(
            f"--books {books}: {shown.sha256[:16]} stand now: look at them first (gm accept-books)"
        )
    return options.key


def _is_taken(options: AcceptOptions, shown: Shown) -> bool:
    """Wait until our books are what was signed for: a break may end in other ways, too."""
    until = time.monotonic() + options.wait_s
    while time.monotonic() < until:
        rows = _running_status(options.run_dir)["instruments"]
        if all(
            _held(_books(rows[one.number], "")) == _held(one.venues) for one in shown.differences
        ):
            return True
        time.sleep(LOOK_S)
    return False


def _held(books: Books) -> tuple[int, int, int]:
    return books.position_lots, books.cash_micros, books.commission_micros


def _note(is_enough: bool, is_accepted: bool) -> str:
    if is_accepted:
        return "the venue's books are ours now, the difference is in the journal; level: gm clear"
    if is_enough:
        return "both signatures lie ready, and the engine has not taken them: look again"
    return "one of two signatures: a second person within five minutes"
