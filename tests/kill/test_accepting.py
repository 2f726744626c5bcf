"""Promise: a break that no report ends is ended by two people who sign for the books as they stand,
and by nothing less: `gm venue` counts its money otherwise than `gm run`, as two processes.
"""

import json
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from gm._native.kill import read_latch
from gm.kill import ClearOptions, acceptance_of, clear, kill_state, shown_books
from gm.kill.signatures import sign
from gm.layout import RecordType
from gm.layout.recovery import BOOKS_ACCEPTED, BOOKS_ADJUSTED
from gm.models.signature import load_people

from ..runs import CONFIG, GM, Place, Process, Tape, gm, payloads, place, records, table
from ..tapes import write_trends
from .people import config_with_people, write_key

RATES = {"orders_per_second_max": 1_000, "orders_burst_max": 1_000}
DESK = RATES | {"duplicates_max": 64, "duplicate_window_ms": 1}
USAGE, CONFIGURATION = 2, 3
# Several looks of the supervisor at what was signed.
LOOKS_S = 1.5


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Place]:
    """A run of some minutes, with people who may accept books."""
    tape = Tape(write_trends(tmp_path / "bars.csv", 12_000), "BTC-PERP", 3)
    config = config_with_people(
        tmp_path,
        policy={"max_hold_bars": 1},
        account=RATES,
        trading={"BTC-PERP": DESK},
        engine={"recon_break_after_ms": 100},
    )
    with place(tmp_path / "run", tape, config) as found:
        yield found


def dear_venue(here: Place) -> Process:
    """A venue to which a lot is worth twice what it is worth to us."""
    folder = here.run_dir.parent
    instruments = yaml.safe_load((CONFIG.parent / "instruments.yaml").read_text())
    row = instruments[here.tape.instrument]
    row["multiplier_per_order_lot"] = 2 * row["multiplier_per_order_lot"]
    (folder / "dear.yaml").write_text(yaml.safe_dump(instruments))
    tree = yaml.safe_load(here.config.read_text()) | {"instruments_file": "dear.yaml"}
    config = folder / "venue.yaml"
    config.write_text(yaml.safe_dump(tree))
    bars, instrument, seed = here.tape
    return here.start(
        *GM, "venue", "--bars", bars, "--instrument", instrument, "--seed", str(seed),
        "--run-dir", here.run_dir, "--config", config, "--json", "--speed", "100000",
    )  # fmt: skip


def broken(here: Place, engine: Process, other_than: str = "") -> dict[str, Any]:
    """The status page once a break stands that may be accepted, and nothing moves any more."""
    found: dict[str, Any] = {}

    def stands() -> bool:
        status = here.status()
        if status is None or status["io"]["pid"] != engine.pid:
            return False
        found.update(status)
        shown = shown_books(status)
        moves = status["engine"]["open_orders"] > 0
        return not moves and not shown.fault and shown.sha256 != other_than

    engine.wait_for(stands)
    return found


def is_broken(here: Place) -> bool:
    status = here.status()
    assert status is not None
    return bool(status["engine"]["has_recon_break"])


def accept(here: Place, person: str, books: str) -> tuple[int, dict[str, Any], str]:
    key = write_key(here.run_dir.parent, person)
    code, printed, errors = gm(
        "accept-books", "--run-dir", here.run_dir, "--config", here.config, "--json",
        "--books", books, "--person", person, "--key", key,
    )  # fmt: skip
    return code, json.loads(printed) if printed else {}, errors


def signatures_for(here: Place, status: dict[str, Any], folder: Path, **changes: Any) -> Path:
    """Both people's files for the books of a page, made elsewhere."""
    subject = acceptance_of(status, shown_books(status), changes.pop("installation", 1))
    people = load_people(here.run_dir.parent / "people.yaml")
    for name in ("ada", "grace"):
        folder.mkdir(exist_ok=True)
        sign(folder, subject, name, write_key(here.run_dir.parent, name), people)
    return folder / "accept"


def put(here: Place, files: Path) -> None:
    shutil.copytree(files, here.run_dir / "accept", dirs_exist_ok=True)


def refusals(engine: Process) -> list[str]:
    return [
        line["refused"] for line in engine.log() if line["event"] == "accept" and "refused" in line
    ]


def nothing_is_accepted(here: Place, engine: Process, why: str) -> None:
    engine.wait_for(lambda: any(why in text for text in refusals(engine)), 30)
    time.sleep(LOOKS_S)
    assert is_broken(here)


def clear_once(here: Place, level: str) -> None:
    latch = read_latch(str(here.run_dir))["latch_id"]
    for name in ("ada", "grace"):
        key = write_key(here.run_dir.parent, name)
        signed = clear(
            ClearOptions(
                run_dir=here.run_dir, config=here.config, latch=latch, person=name, key=key
            )
        )
    assert (signed.has_fallen, signed.level) == (True, level)


def less_than_two_who_mean_these_books(
    here: Place, engine: Process, books: str, foreign: Path
) -> None:
    """Each is refused; ada's signature lies there afterwards."""
    assert accept(here, "ada", "ab" * 8)[0] == USAGE
    assert accept(here, "tom", books)[0] == CONFIGURATION
    put(here, foreign)
    nothing_is_accepted(here, engine, "over this break")
    shutil.rmtree(here.run_dir / "accept")
    code, signed, errors = accept(here, "ada", books)
    assert code == 0, errors
    assert (signed["is_accepted"], signed["signers"]) == (False, ["ada"])
    code, _, errors = accept(here, "ada", books)
    assert (code, "a second person" in errors) == (USAGE, True)
    shutil.copy(here.run_dir / "accept/ada.json", here.run_dir / "accept/bob.json")
    nothing_is_accepted(here, engine, "ada has signed already")
    (here.run_dir / "accept/bob.json").unlink()


def test_two_signatures_for_these_books_end_a_break_and_nothing_less(here: Place) -> None:
    dear_venue(here)
    engine = here.engine()
    first = broken(here, engine)
    used = signatures_for(here, first, here.run_dir.parent / "used")
    foreign = signatures_for(here, first, here.run_dir.parent / "foreign", installation=2)
    # The page is ahead of the latch, which waits for the journal to be on the disk.
    engine.wait_for(lambda: kill_state(here.run_dir, ()).level == "halted")

    code, printed, errors = gm(
        "accept-books", "--run-dir", here.run_dir, "--config", here.config, "--json"
    )
    assert code == 0, errors
    looked = json.loads(printed)
    (one,) = looked["differences"]
    assert one["ours"]["position_lots"] == one["venues"]["position_lots"]
    assert one["ours"]["cash_micros"] != one["venues"]["cash_micros"]
    assert looked["signers"] == []
    books = looked["sha256"][:16]

    less_than_two_who_mean_these_books(here, engine, books, foreign)
    code, signed, errors = accept(here, "grace", books)
    assert code == 0, errors
    assert (signed["is_accepted"], signed["signers"]) == (True, ["ada", "grace"]), engine.errors()
    engine.wait_for(lambda: not is_broken(here))
    assert kill_state(here.run_dir, ()).level == "halted"

    # It trades again, so it differs again: what was signed for those books is not for these.
    clear_once(here, "reducing")
    clear_once(here, "active")
    second = broken(here, engine, other_than=looked["sha256"])
    put(here, used)
    nothing_is_accepted(here, engine, f"for books {books}; ")
    engine.send(signal.SIGTERM)
    assert engine.finish() == 0, engine.errors()
    check_what_is_left(here, one)
    assert second["engine"]["break_sha256"] != first["engine"]["break_sha256"]


def check_what_is_left(here: Place, one: dict[str, Any]) -> None:
    """One acceptance with its difference, in the journal and in the database; and a replay."""
    slots = records(here.run_dir)
    (accepted,) = payloads(slots, RecordType.BOOKS_ACCEPTED, BOOKS_ACCEPTED)
    (adjusted,) = payloads(slots, RecordType.BOOKS_ADJUSTED, BOOKS_ADJUSTED)
    (row,) = table(here.run_dir, "book_acceptances")
    assert row["break_sha256"] == bytes(accepted["break_sha256"]).hex()
    assert row["signatures_sha256"] == bytes(accepted["signatures_sha256"]).hex()
    cash = one["venues"]["cash_micros"] - one["ours"]["cash_micros"]
    (row,) = table(here.run_dir, "book_adjustments")
    assert (row["position_lots"], row["cash_micros"]) == (0, str(cash))
    assert row["commission_micros"] == int(adjusted["commission_micros"])
    assert gm("verify", "--run-dir", here.run_dir)[0] == 0
    code, _, errors = gm("replay", "--run-dir", here.run_dir)
    assert code == 0, errors


def test_what_was_signed_for_an_engine_that_died_is_not_for_the_next(here: Place) -> None:
    dear_venue(here)
    engine = here.engine()
    before = broken(here, engine)
    old = signatures_for(here, before, here.run_dir.parent / "old")
    engine.kill()
    again = here.engine()
    status = broken(here, again)
    put(here, old)
    same_books = shown_books(status).sha256 == shown_books(before).sha256
    why = "started at another time" if same_books else "for books "
    nothing_is_accepted(here, again, why)
    put(here, signatures_for(here, status, here.run_dir.parent / "new"))
    again.wait_for(lambda: not is_broken(here))
