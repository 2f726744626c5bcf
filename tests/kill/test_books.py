"""Promise: two people accept exactly the books that they were shown, and nobody else's do."""

import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gm.errors import BadArgument, ConfigError, UsageError
from gm.kill import (
    Acceptance,
    Accepted,
    AcceptOptions,
    accept_books,
    books,
    shown_books,
    signatures,
)
from gm.kill.signatures import Fall, find_pair, sign
from gm.models.signature import load_people
from gm.supervisor.books_watch import LOOK_EVERY_S, BooksWatch

from ..runs import CONFIG
from .people import config_with_people, write_key, write_people

ROW = {
    "symbol": "BTC-PERP", "books_differ": 1,
    "position_lots": -1, "cash_micros": -2, "commission_micros": 3, "open_orders": 7,
    "venues_position_lots": 4, "venues_cash_micros": 5 << 64, "venues_commission_micros": 6,
    "venues_open_orders": 7,
}  # fmt: skip
SAME = ROW | {"books_differ": 0}
TAKEN = SAME | {
    name: ROW["venues_" + name] for name in ("position_lots", "cash_micros", "commission_micros")
}
LIFE_NS = 1_700_000_000_123_456_789


def page(*rows: dict[str, Any], **engine: Any) -> dict[str, Any]:
    """A status page of a break whose digest is that of its rows."""
    found = {"has_recon_break": True, "break_sha256": digest_of(rows)}
    return {
        "io": {"pid": os.getpid(), "started_wall_ns": LIFE_NS, "phase": "ready"},
        "engine": found | engine,
        "instruments": [dict(row) for row in rows],
    }


def digest_of(rows: tuple[dict[str, Any], ...]) -> str:
    status = {
        "io": {"phase": "ready"},
        "engine": {"has_recon_break": True, "break_sha256": ""},
        "instruments": [dict(row) for row in rows],
    }
    return shown_books(status).sha256


def test_the_digest_is_that_of_the_core() -> None:
    # core/tests/engine/books_test.cpp has the same row and the first bytes of the same digest.
    row = ROW | {"venues_open_orders": 8}
    assert digest_of((*[SAME] * 9, row))[:8] == "799e18f6"


def test_both_books_and_the_difference_are_shown() -> None:
    shown = shown_books(page(SAME, ROW))
    assert shown.fault == ""
    (one,) = shown.differences
    assert (one.number, one.symbol) == (1, "BTC-PERP")
    less_ours = msgspec.structs.asdict(one.less_ours)
    assert less_ours == {
        "position_lots": 5, "cash_micros": (5 << 64) + 2, "commission_micros": 3, "open_orders": 0,
    }  # fmt: skip


@pytest.mark.parametrize("name", [name for name in ROW if name not in ("symbol", "books_differ")])
def test_every_number_that_is_shown_is_in_the_digest(name: str) -> None:
    assert digest_of((ROW | {name: ROW[name] + 1},)) != digest_of((ROW,))


def test_what_cannot_be_accepted_says_why() -> None:
    assert "no break stands" in shown_books(page(SAME, has_recon_break=False)).fault
    assert "the books are moving" in shown_books(page(ROW, break_sha256="00" * 32)).fault
    order = ROW | {"open_orders": 1, "venues_open_orders": 0}
    assert "BTC-PERP: 1 orders are open in our books and 0 in" in shown_books(page(order)).fault
    assert "an instrument that is not of this run" in shown_books(page(SAME)).fault
    for phase in ("starting", "replaying"):
        status = page(ROW)
        status["io"]["phase"] = phase
        assert "the engine is starting" in shown_books(status).fault


class Engine:
    """Stands where an engine stands: its page, and what it does with an acceptance."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.status = page(ROW)
        self.accepted: list[tuple[str, str]] = []
        self.is_busy = False
        monkeypatch.setattr(books, "read_status", lambda _run_dir: self.status)

    def accept_books(self, break_sha256: bytes, signatures_sha256: bytes) -> None:
        if self.is_busy:
            raise BadArgument("the acceptance before this one is not taken yet")
        self.accepted.append((break_sha256.hex(), signatures_sha256.hex()))
        self.status = page(TAKEN, has_recon_break=False, break_sha256="00" * 32)


@pytest.fixture
def engine(monkeypatch) -> Engine:
    return Engine(monkeypatch)


def accept(folder: Path, person: str | None = None, **options: Any) -> Accepted:
    config = folder / "people_config.yaml"
    if not config.exists():
        config = config_with_people(folder)
    given = {"books": digest_of((ROW,))[:16], "wait_s": 0.0} | options
    return accept_books(
        AcceptOptions(
            run_dir=folder, config=config, person=person,
            key=None if person is None else write_key(folder, person), **given,
        )
    )  # fmt: skip


def test_looking_needs_nobody_who_could_sign(tmp_path, engine) -> None:
    looked = accept_books(AcceptOptions(run_dir=tmp_path, config=CONFIG))
    assert looked.differences[0].symbol == "BTC-PERP"
    with pytest.raises(ConfigError, match=r"models\.people_file names nobody"):
        accept_books(AcceptOptions(run_dir=tmp_path, config=CONFIG, person="ada"))


def test_looking_signs_nothing(tmp_path, engine) -> None:
    looked = accept(tmp_path)
    assert (looked.signers, looked.is_accepted) == ((), False)
    assert f"--books {looked.sha256[:16]}" in looked.note
    assert not (tmp_path / "accept").exists()


def test_two_people_accept_and_the_engine_is_told_once(tmp_path, engine) -> None:
    assert accept(tmp_path, "ada").signers == ("ada",)
    watch = watch_of(tmp_path, engine)
    watch.attend(engine.status, 1.0)
    assert engine.accepted == []
    with pytest.raises(UsageError, match="ada has signed for this: a second person"):
        accept(tmp_path, "ada")
    assert accept(tmp_path, "grace").signers == ("ada", "grace")
    engine.is_busy = True
    watch.attend(engine.status, 2.0)
    engine.is_busy = False
    pair = find_pair(tmp_path, acceptance(), load_people(tmp_path / "people.yaml"))
    watch.attend(engine.status, 3.0)
    assert engine.accepted == [(digest_of((ROW,)), pair.sha256.hex())]
    watch.attend(engine.status, 4.0)
    watch.attend(engine.status, 5.0)
    assert len(engine.accepted) == 1
    assert list((tmp_path / "accept").iterdir()) == []  # of no use any more


def test_the_second_signature_waits_until_the_books_are_ours(tmp_path, engine) -> None:
    accept(tmp_path, "ada")
    engine.status = page(SAME, has_recon_break=False, break_sha256="00" * 32)
    with pytest.raises(UsageError, match="no break stands"):
        accept(tmp_path, "grace")
    engine.status = page(ROW)
    second = accept(tmp_path, "grace")
    assert "both signatures lie ready" in second.note

    def look(_run_dir: str) -> dict[str, Any]:
        watch_of(tmp_path, engine).attend(engine.status, 1.0)
        return engine.status

    (tmp_path / "accept/grace.json").unlink()
    with pytest.MonkeyPatch.context() as patch:
        pages = iter([page(ROW)])
        patch.setattr(books, "read_status", lambda path: next(pages, None) or look(path))
        third = accept(tmp_path, "grace", wait_s=5.0)
    assert third.is_accepted
    assert "gm clear" in third.note


def test_two_that_are_taken_before_anybody_looks_again_are_two(
    tmp_path, engine, monkeypatch
) -> None:
    accept(tmp_path, "ada")
    watch = watch_of(tmp_path, engine)

    def sign_and_see_them_go(*signed: Any) -> None:
        sign(*signed)
        watch.attend(engine.status, 1.0)
        watch.attend(engine.status, 2.0)
        assert list((tmp_path / "accept").iterdir()) == []

    monkeypatch.setattr(books, "sign", sign_and_see_them_go)
    second = accept(tmp_path, "grace", wait_s=5.0)
    assert (second.is_accepted, second.signers) == (True, ("ada", "grace"))


def acceptance(**changes: Any) -> Acceptance:
    named = {"books_sha256": digest_of((ROW,)), "installation": 1, "life_ns": LIFE_NS}
    return Acceptance(**(named | changes))


def watch_of(folder: Path, engine: Engine) -> BooksWatch:
    watch = BooksWatch(engine, folder, load_people(folder / "people.yaml"), 1)
    assert LOOK_EVERY_S < 1.0
    return watch


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"books_sha256": "ab" * 32}, "for books abababababababab; "),
        ({"installation": 2}, "over this break"),
        ({"life_ns": LIFE_NS - 1}, "for an engine that started at another time"),
    ],
)
def test_signatures_for_other_books_or_another_life_do_not_count(
    tmp_path, engine, changes, why
) -> None:
    people = load_people(write_people(tmp_path))
    for name in ("ada", "grace"):
        sign(tmp_path, acceptance(**changes), name, write_key(tmp_path, name), people)
    watch_of(tmp_path, engine).attend(engine.status, 1.0)
    assert engine.accepted == []
    pair = find_pair(tmp_path, acceptance(), people)
    assert pair.good == ()
    assert len(pair.faults) == 2
    assert all(why in fault for fault in pair.faults.values())


def signed_at(folder: Path, names: tuple[str, ...], ages_s: tuple[int, ...]) -> None:
    """The three people's files, made so long ago."""
    people = load_people(write_people(folder))
    now_s = int(time.time())
    for name, age_s in zip(names, ages_s, strict=True):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(signatures.time, "time", lambda age_s=age_s: now_s - age_s)
            sign(folder, acceptance(), name, write_key(folder, name), people)


@pytest.mark.parametrize(
    ("ages_s", "counts"), [((280, 1), True), ((900, 890), False), ((900, 1), False)]
)
def test_what_was_signed_long_ago_waits_for_no_break(tmp_path, engine, ages_s, counts) -> None:
    signed_at(tmp_path, ("ada", "grace"), ages_s)
    watch_of(tmp_path, engine).attend(engine.status, 1.0)
    assert bool(engine.accepted) is counts


def test_used_signatures_do_not_count_when_the_same_books_come_again(tmp_path, engine) -> None:
    signed_at(tmp_path, ("ada", "grace"), (9, 8))
    kept = {path: path.read_bytes() for path in (tmp_path / "accept").iterdir()}
    watch = watch_of(tmp_path, engine)
    watch.attend(engine.status, 1.0)
    watch.attend(engine.status, 2.0)
    assert list((tmp_path / "accept").iterdir()) == []
    for path, signature in kept.items():
        path.write_bytes(signature)
    engine.status = page(ROW)
    watch.attend(engine.status, 3.0)
    assert len(engine.accepted) == 1
    signed_at(tmp_path, ("ada", "grace"), (-2, -2))  # anew
    watch.attend(engine.status, 4.0)
    assert len(engine.accepted) == 2


def test_a_break_that_ends_otherwise_was_not_accepted(tmp_path, engine) -> None:
    accept(tmp_path, "ada")
    pages = [page(ROW), *[page(SAME, has_recon_break=False, break_sha256="00" * 32)] * 2]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            books, "read_status", lambda _run_dir: pages.pop(0) if pages[1:] else pages[0]
        )
        assert not accept(tmp_path, "grace", wait_s=0.2).is_accepted


def test_a_signature_for_a_fall_is_none_for_books(tmp_path, engine) -> None:
    people = load_people(write_people(tmp_path))
    fall = Fall(latch_id="ab" * 16, sequence=1, level="active", installation=1)
    for name in ("ada", "grace"):
        sign(tmp_path, fall, name, write_key(tmp_path, name), people)
        held = json.loads((tmp_path / f"clear/{name}.json").read_bytes())
        made = {key: held[key] for key in ("person", "signed_s", "signature")}
        made |= {"books_sha256": digest_of((ROW,)), "life_ns": LIFE_NS}
        (tmp_path / "accept").mkdir(exist_ok=True)
        (tmp_path / f"accept/{name}.json").write_text(json.dumps(made))
    pair = find_pair(tmp_path, acceptance(), people)
    assert pair.good == ()
    assert pair.faults["ada.json"] == "not the signature of ada over this break"


def test_who_may_not_sign_or_has_not_looked_is_refused(tmp_path, engine) -> None:
    with pytest.raises(ConfigError, match="tom is a trader; accepting the venue's books is for"):
        accept(tmp_path, "tom")
    for shown in (None, "", digest_of((ROW,))[:15], "ab" * 8):
        with pytest.raises(UsageError, match="stand now: look at them first"):
            accept(tmp_path, "ada", books=shown)
    engine.status["io"]["pid"] = 2**31 - 2
    with pytest.raises(UsageError, match="no engine runs"):
        accept(tmp_path)


def test_a_digest_of_nothing_is_never_that_of_a_break() -> None:
    assert shown_books(page(SAME)).sha256 == "0" * 64
    assert hashlib.sha256(b"").hexdigest() != "0" * 64
