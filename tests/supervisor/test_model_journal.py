"""Promise: each fall of a model is told until it was dealt with, by any number of lives."""

import shutil

import msgspec
import pytest

from gm.errors import ConfigError
from gm.layout import ModelCause, ModelStage, RecordType
from gm.supervisor.model_journal import FOLLOWED_FILE, Fall, ModelJournal

from ..store.journals import journal_of, write_slots

SHA, OTHER = bytes(range(32)), bytes(range(1, 33))
FELL = {"stage": ModelStage.RETIRED, "cause": ModelCause.LATE, "model": 2, "value": 7_000}
BACK = {"stage": ModelStage.LIVE, "cause": ModelCause.LATE, "model": 1, "live": 1}
ORDERED = {"stage": ModelStage.RETIRED, "cause": ModelCause.ORDERED, "model": 1}
REFUSED = {"stage": ModelStage.REFUSED, "cause": ModelCause.NOT_LOADED, "model": 3}


def update(values, sha256=SHA):
    return RecordType.MODEL_UPDATE, {**values, "sha256": list(sha256)}


def decision(kind, bar, action, acts=1):
    return kind, {"bar_start_ts_ns": bar, "action": action, "acts": acts}


class Reader:
    """One life: what it was told."""

    def __init__(self, run_dir, records=1_000) -> None:
        self.falls: list[Fall] = []
        self.refused: list[str] = []
        self.journal = ModelJournal(
            run_dir,
            records,
            self.falls.append,
            lambda refusal: self.refused.append(refusal.cause),
        )


def test_falls_and_refusals_are_told_and_what_was_ordered_is_not(tmp_path) -> None:
    records = [update(ORDERED, OTHER), update(FELL), update(BACK, OTHER), update(REFUSED)]
    write_slots(tmp_path, journal_of(*records))
    life = Reader(tmp_path)
    life.journal.read(4)
    assert [fall.failed for fall in life.falls] == [SHA.hex()]
    assert life.falls[0].why == "late (7000), journal record 2"
    assert life.refused == ["not_loaded"]
    assert life.journal.roll_backs == {"not_finite": 0, "late": 1, "out_of_distribution": 0}
    assert life.journal.failed == {SHA.hex()}
    life.journal.read(4)
    assert len(life.falls) == 1


def test_a_life_that_saved_nothing_is_told_again_and_one_that_did_is_not(tmp_path) -> None:
    write_slots(tmp_path, journal_of(update(FELL), update(BACK, OTHER)))
    for _ in range(2):
        life = Reader(tmp_path)
        life.journal.read(2)
        assert len(life.falls) == 1
    life.journal.save()  # too few records to be worth a write
    assert not (tmp_path / FOLLOWED_FILE).exists()
    life.journal.save(is_forced=True)
    after = Reader(tmp_path)
    after.journal.read(2)
    assert after.falls == []
    assert after.journal.roll_backs_total == 1
    assert after.journal.failed == {SHA.hex()}


def test_a_journal_that_came_back_shorter_is_read_from_its_beginning(tmp_path) -> None:
    before, back = tmp_path / "before", tmp_path / "back"
    write_slots(before, journal_of(update(ORDERED, OTHER), update(ORDERED, OTHER)))
    life = Reader(before)
    life.journal.read(2)
    life.journal.save(is_forced=True)
    write_slots(back, journal_of(update(ORDERED, OTHER), update(FELL)))
    shutil.copytree(before / "models", back / "models")
    after = Reader(back, records=1)  # the second record was lost; what came instead is a fall
    after.journal.read(2)
    assert [fall.failed for fall in after.falls] == [SHA.hex()]
    assert after.journal.roll_backs_total == 1


def test_a_shadow_is_counted_by_what_it_would_have_done(tmp_path) -> None:
    live, shadow = RecordType.DECISION, RecordType.SHADOW_DECISION
    records = [
        decision(live, 1, 0), decision(shadow, 1, 0),  # both long
        decision(live, 2, 0), decision(shadow, 2, 2),
        decision(live, 3, 0, acts=0), decision(shadow, 3, 2, acts=0),  # neither acts
        decision(live, 4, 0), decision(shadow, 4, 0, acts=0),
        decision(shadow, 5, 0),  # of a bar without a decision
    ]  # fmt: skip
    write_slots(tmp_path, journal_of(*records))
    life = Reader(tmp_path)
    life.journal.read(len(records))
    assert (life.journal.same, life.journal.other) == (2, 2)


@pytest.mark.parametrize("content", [b"", b"{", b'{"falls": 1}', b'{"journal_sequence": "x"}'])
def test_a_damaged_file_of_a_former_life_is_named(tmp_path, content) -> None:
    path = tmp_path / FOLLOWED_FILE
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"followed\.json: .*read anew"):
        Reader(tmp_path)


def test_the_file_is_plain_json(tmp_path) -> None:
    write_slots(tmp_path, journal_of(update(FELL)))
    life = Reader(tmp_path)
    life.journal.read(1)
    life.journal.save(is_forced=True)
    found = msgspec.json.decode((tmp_path / FOLLOWED_FILE).read_bytes())
    assert found["journal_sequence"] == 1
    assert found["failed"] == [SHA.hex()]
