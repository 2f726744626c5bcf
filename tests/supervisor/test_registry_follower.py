"""Promise: an engine does what the registry says, whatever happens between two looks; what it does
not do, and what it does by itself, the registry is told.
"""

import shutil
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from structlog.testing import capture_logs

from gm import layout
from gm.layout import ModelCause, ModelStage, RecordType
from gm.models import BASELINE_PATH, load_bundle, registry
from gm.models.registry import add_bundle, rollback
from gm.models.registry_state import STATE_FILE, read_registry, write_registry
from gm.models.verification import Terms
from gm.supervisor import registry_follower

from ..models.make import guard, guarded, named
from ..store.journals import journal_of, write_slots
from .lives import ACT, BASE, NONE, PROFILE, Engine, Life, candidate, fallen, lift, notes, state_of


def test_a_bundle_becomes_shadow_then_live_then_is_rolled_back(root, life) -> None:
    one, two = candidate(root, "one"), candidate(root, "two")
    life.settle()
    assert life.engine.commands == []  # a candidate is nobody's business
    lift(root, "one", "shadow")
    life.until(lambda: life.engine.shadow[0] == one)
    lift(root, "one", "live")
    life.until_live(one)
    lift(root, "two")
    life.until_live(two)
    rollback(root, PROFILE, ACT, Terms())
    life.until_live(one)
    life.settle()
    assert life.engine.commands == ["load", "promote", "load", "promote", "roll_back"]
    assert life.engine.before[0] == NONE  # not the way back from the one that is good


def test_what_happened_between_two_looks_does_not_matter(root, life) -> None:
    candidate(root, "one")
    two = candidate(root, "two")
    lift(root, "one")
    lift(root, "two")
    three = candidate(root, "three")
    lift(root, "three", "shadow")
    life.until(lambda: life.engine.live[0] == two and life.engine.shadow[0] == three)
    life.settle()
    assert life.engine.commands == ["load", "promote", "load"]
    lift(root, "three", "retired")
    life.until(lambda: life.engine.shadow[0] == NONE)
    assert life.engine.live[0] == two


def test_a_registry_that_asks_for_what_is_there_changes_nothing(tmp_path, root, life) -> None:
    shutil.copytree(BASELINE_PATH, tmp_path / "base")
    add_bundle(root, tmp_path / "base", PROFILE, ACT, Terms())
    lift(root, "baseline")
    life.settle()
    assert life.engine.commands == []


@pytest.mark.parametrize("dies_after", range(4))
def test_a_death_between_any_two_commands_is_made_up_for(root, life, dies_after) -> None:
    one, two = candidate(root, "one"), candidate(root, "two")
    lift(root, "one")
    lift(root, "two", "shadow")
    done = life.engine.commands
    life.until(lambda: len(done) >= min(dies_after, 3))
    again = Life(life.engine, life.run_dir, root)  # nothing was saved
    again.until(lambda: life.engine.live[0] == one and life.engine.shadow[0] == two)
    again.settle()
    assert done == ["load", "promote", "load"]
    again.finish()


def test_a_command_that_is_not_taken_is_given_again(root, life) -> None:
    life.engine.busy = 3
    one = candidate(root, "one")
    lift(root, "one")
    life.until_live(one)


# ---- falls


def check_fallen(root: Path, life: Life, one: str, two: str) -> None:
    assert (state_of(root, one), state_of(root, two)) == ("live", "retired")
    assert life.engine.live[0] == one
    entry = read_registry(root).of_hash(two)
    assert entry is not None
    last = entry.history[-1]
    assert (last.cause, last.person) == ("rolled_back", "engine")
    assert last.reason == "by an engine: late (5000), journal record 1"


def test_a_fall_is_written_down_and_what_fell_does_not_come_back(root, life) -> None:
    one, two = fallen(root, life)
    commands = len(life.engine.commands)
    life.until(lambda: state_of(root, two) == "retired")
    life.settle()
    check_fallen(root, life, one, two)
    assert len(life.engine.commands) == commands
    assert life.follower.reading.roll_backs["late"] == 1


def test_what_fell_in_a_run_is_not_had_again_though_the_registry_is_put_back(root, life) -> None:
    one, two = fallen(root, life)
    old = read_registry(root)
    life.until(lambda: state_of(root, two) == "retired")
    life.settle()
    write_registry(root, old)
    commands = len(life.engine.commands)
    life.settle()
    life.settle()
    assert life.engine.live[0] == one
    assert len(life.engine.commands) == commands


@pytest.mark.parametrize("when", ["before", "between", "after"])
def test_a_death_around_a_fall_leaves_registry_and_engine_of_one_mind(root, life, when) -> None:
    one, two = fallen(root, life)
    if when == "between":  # the registry was told, the place in the journal not kept
        registry.fall_back(
            root, PROFILE, two, one, "by an engine: late (5000), journal record 1", Terms()
        )
    if when == "after":
        life.until(lambda: state_of(root, two) == "retired")
    again = Life(life.engine, life.run_dir, root)
    again.until(lambda: state_of(root, two) == "retired")
    again.settle()
    check_fallen(root, again, one, two)
    again.finish()


def test_a_fall_at_the_end_of_a_run_is_written_down_while_it_stops(root, life) -> None:
    one, two = fallen(root, life)
    life.follower.finish(life.engine.status())
    check_fallen(root, life, one, two)


def test_a_page_ahead_of_the_journal_promotes_nothing_again(root, life) -> None:
    one, two = fallen(root, life)
    life.engine.records = 0  # the fall is on the page, not in a segment yet
    commands = len(life.engine.commands)
    life.settle()
    life.settle()
    assert state_of(root, two) == "live"
    assert len(life.engine.commands) == commands
    life.engine.records = 2
    life.until(lambda: state_of(root, two) == "retired")
    check_fallen(root, life, one, two)


def test_a_fall_with_nothing_good_before_it_leaves_no_live_bundle(root, life) -> None:
    one = candidate(root, "one")
    lift(root, "one")
    life.until_live(one)
    life.engine.fall(life.run_dir)
    life.until(lambda: state_of(root, one) == "retired")
    life.settle()
    assert read_registry(root).live(PROFILE) is None
    assert life.engine.live[0] == BASE


def test_two_engines_on_one_registry_fall_back_together(tmp_path, root, life) -> None:
    (tmp_path / "other").mkdir()
    other = Life(Engine(), tmp_path / "other", root)
    one, two = candidate(root, "one"), candidate(root, "two")
    for name, sha256 in (("one", one), ("two", two)):
        lift(root, name)
        life.until_live(sha256)
        other.until_live(sha256)
    life.engine.fall(life.run_dir)
    other.engine.fall(other.run_dir)
    life.until(lambda: state_of(root, two) == "retired")
    other.settle()
    life.settle()
    assert other.engine.live[0] == life.engine.live[0] == one
    entry = read_registry(root).of_hash(two)
    assert entry is not None
    assert [event.cause for event in entry.history].count("rolled_back") == 1
    other.finish()


def test_a_registry_that_cannot_be_written_is_told_later(root, life, monkeypatch) -> None:
    one, two = fallen(root, life)
    real, failures = registry_follower.fall_back, []

    def full(*arguments: Any) -> Any:
        if len(failures) < 2:
            failures.append(1)
            raise OSError(28, "No space left on device")
        return real(*arguments)

    monkeypatch.setattr(registry_follower, "fall_back", full)
    life.until(lambda: state_of(root, two) == "retired")
    assert len(failures) == 2
    check_fallen(root, life, one, two)


# ---- refusals


def broken(folder: Path) -> None:
    path = folder / "mlmi.onnx"
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(bytes(raw))


@pytest.mark.parametrize("fault", ["byte", "signature", "kernels", "core"])
def test_a_bundle_that_is_refused_is_named_and_the_engine_goes_on(
    tmp_path, root, life, fault
) -> None:
    terms, parts, says = Terms(), {}, {
        "byte": "mlmi.onnx: SHA-256", "signature": "manifest.sig", "kernels": "feature kernels",
        "core": "temperature of mlmi",
    }[fault]  # fmt: skip
    if fault == "kernels":
        parts["kernels"] = ("ab" * 32,)
    bad = candidate(root, "bad", named(tmp_path / "source_bad", "bad", **parts))
    good = candidate(root, "good")
    lift(root, "good")
    life.until_live(good)
    lift(root, "bad")
    entry = read_registry(root).of_hash(bad)
    assert entry is not None
    if fault == "byte":
        broken(root / entry.folder)
    if fault == "signature":
        terms = Terms(is_signature_required=True)
        life.follower._following = msgspec.structs.replace(life.follower._following, terms=terms)
    if fault == "core":
        life.engine.refuses.add(bad)
    life.until(lambda: notes(root, bad))
    life.settle()
    assert life.engine.live[0] == good
    assert life.follower.reading.refusals == 1
    (note,) = notes(root, bad)
    assert note.startswith("refused by an engine: ")
    assert says in note


def test_what_was_refused_is_tried_again_and_said_once(root, life) -> None:
    bad = candidate(root, "bad")
    lift(root, "bad")
    life.engine.refuses.add(bad)
    with capture_logs() as lines:
        life.until(lambda: life.follower.reading.refusals == 2)
    assert [line["event"] for line in lines].count("bundle refused") == 1
    assert len(notes(root, bad)) == 1
    life.engine.refuses.clear()
    life.until_live(bad)


def test_the_engines_own_refusal_bars_a_bundle(root, life, monkeypatch) -> None:
    one = candidate(root, "one")
    lift(root, "one")
    engine = life.engine

    def not_loaded(_block: bytes) -> None:
        engine.commands.append("load")
        refused = {"sha256": list(bytes.fromhex(one)), "model": 1, "stage": ModelStage.REFUSED,
                   "cause": ModelCause.NOT_LOADED}  # fmt: skip
        write_slots(life.run_dir, journal_of((RecordType.MODEL_UPDATE, refused)))
        engine.records = 1

    monkeypatch.setattr(engine, "shadow_model", not_loaded)
    life.until(lambda: notes(root, one))
    assert "look at columns that this run does not compute" in notes(root, one)[0]
    life.settle()
    assert engine.commands == ["load"]


def test_a_damaged_registry_is_said_and_what_it_said_last_holds(root, life) -> None:
    one = candidate(root, "one")
    lift(root, "one")
    life.until_live(one)
    state = read_registry(root)
    (root / STATE_FILE).write_text("{")
    life.attend(4)
    assert life.follower.reading.is_registry_readable is False
    assert life.engine.live[0] == one
    write_registry(root, state)
    life.attend(4)
    assert life.follower.reading.is_registry_readable is True


def test_without_a_registry_nothing_is_steered_and_falls_are_counted(tmp_path, life) -> None:
    (tmp_path / "alone").mkdir()
    alone = Life(Engine(), tmp_path / "alone", None)
    alone.engine.fall(alone.run_dir)
    alone.settle()
    assert alone.engine.commands == []
    reading = alone.follower.reading
    assert (reading.roll_backs["late"], reading.is_registry_readable) == (1, None)
    alone.finish()


def test_the_guard_of_training_goes_to_the_engine(root, life, monkeypatch) -> None:
    fence = guard(low=-0.5, high=0.75, rows_max=9)
    one = candidate(root, "one", guarded(root.parent / "source_one", "one", fence))
    lift(root, "one")
    blocks: list[bytes] = []
    real = life.engine.shadow_model
    monkeypatch.setattr(life.engine, "shadow_model", lambda b: (blocks.append(b), real(b)))
    life.until_live(one)
    header = np.frombuffer(blocks[0], layout.MODEL_HEADER, 1)[0]
    manifest = load_bundle(root.parent / "source_one").manifest
    seen = {column for agent in manifest.agents for column in agent.columns}
    assert header["guard_columns"] == sum(1 << column for column in seen)
    assert (header["guard_columns_max"], header["guard_rows_max"]) == (0, 9)
    for column in seen:
        assert (header["guard_low"][column], header["guard_high"][column]) == (-0.5, 0.75)
