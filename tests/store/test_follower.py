"""Promise: the database ends up with every record once, whatever happened to it in between."""

import sqlite3

import pytest

from gm.errors import JournalCorrupt
from gm.store.follower import RETRY_S, Follower
from gm.store.journal_tail import JournalTail
from gm.store.summary import read_until

from .journals import write_journal

RECORDS = 300


@pytest.fixture
def follower(tmp_path):
    write_journal(tmp_path, RECORDS)
    made = Follower(tmp_path / "journal", tmp_path / "gm.db", ("BTC-PERP",), slots_max=32)
    yield made
    made.close()


def cursor(tmp_path) -> int:
    database = sqlite3.connect(tmp_path / "gm.db")
    (found,) = database.execute("SELECT journal_sequence FROM cursor").fetchone()
    database.close()
    return found


def test_it_goes_no_further_than_it_is_told(tmp_path, follower) -> None:
    assert follower.follow(64, now_s=0.0) == ""
    assert 64 <= follower.last_sequence < RECORDS
    follower.finish(RECORDS)
    follower.open()
    assert follower.last_sequence == cursor(tmp_path) == RECORDS


def test_a_locked_database_is_left_alone_for_a_while_and_then_catches_up(
    tmp_path, follower
) -> None:
    follower.follow(64, now_s=0.0)
    behind = cursor(tmp_path)
    lock = sqlite3.connect(tmp_path / "gm.db", isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    assert "locked" in follower.follow(RECORDS, now_s=1.0)
    lock.execute("ROLLBACK")
    lock.close()
    assert "locked" in follower.follow(RECORDS, now_s=1.0 + RETRY_S / 2)
    assert cursor(tmp_path) == behind
    assert follower.follow(RECORDS, now_s=1.0 + RETRY_S) == ""
    assert cursor(tmp_path) == RECORDS


def test_a_deleted_database_is_made_again_from_the_beginning(tmp_path, follower) -> None:
    follower.follow(64, now_s=0.0)
    for name in ("gm.db", "gm.db-wal", "gm.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    assert "No such file" in follower.follow(RECORDS, now_s=1.0)
    assert follower.follow(RECORDS, now_s=3.0) == ""
    assert cursor(tmp_path) == RECORDS


def test_finish_says_when_the_database_cannot_be_had(tmp_path, follower) -> None:
    (tmp_path / "gm.db").mkdir()
    with pytest.raises(sqlite3.OperationalError):
        follower.finish(RECORDS)


def test_a_journal_that_ends_before_it_should_is_an_error_and_not_a_loop(
    tmp_path, follower
) -> None:
    with pytest.raises(JournalCorrupt, match=f"end at record {RECORDS}, not at {RECORDS + 1}"):
        follower.finish(RECORDS + 1)
    tail = JournalTail(tmp_path / "no_such_folder")
    with pytest.raises(JournalCorrupt, match="end at record 0, not at 1"):
        list(read_until(tail, 1, 100))


def test_batches_of_a_single_record_end_as_well(tmp_path) -> None:
    write_journal(tmp_path, 20)
    one = Follower(tmp_path / "journal", tmp_path / "gm.db", ("BTC-PERP",), slots_max=1)
    one.finish(20)
    one.close()
    assert cursor(tmp_path) == 20
