"""Promise: no file, bundle or journal that is bad stops an engine, or the supervisor beside it."""

import itertools
import shutil
from typing import Any

import pytest
from onnxruntime.capi import onnxruntime_pybind11_state as state
from structlog.testing import capture_logs

from gm.models.registry import add_bundle, promote, rollback
from gm.models.registry_state import read_registry
from gm.models.verification import Terms
from gm.supervisor import model_journal, registry_follower
from gm.supervisor.model_journal import FOLLOWED_FILE

from ..models.make import named, six_networks
from .lives import ACT, PROFILE, Engine, Life, candidate, fallen, lift, notes, state_of


def test_a_disk_that_is_full_is_said_once_and_written_when_it_is_not(root, life, monkeypatch):
    monkeypatch.setattr(model_journal, "SAVE_EVERY_RECORDS", 1)
    real, failures = model_journal.write_whole, []

    def full(*arguments: Any) -> Any:
        if len(failures) < 3:
            failures.append(life.now_s)
            raise OSError(28, "No space left on device")
        return real(*arguments)

    monkeypatch.setattr(model_journal, "write_whole", full)
    _, two = fallen(root, life)
    with capture_logs() as lines:
        life.until(lambda: state_of(root, two) == "retired")
        life.until((life.run_dir / FOLLOWED_FILE).exists)
    waits = [after - before for before, after in itertools.pairwise(failures)]
    assert min(waits) >= registry_follower.WRITE_RETRY_S
    said = [line for line in lines if line["event"] == "models"]
    assert [line["log_level"] for line in said] == ["error", "info"]
    assert "No space left" in said[0]["failure"]


LISTING, RUN = "gm.models.verification.os.listdir", "gm.models.verification.check_network"
LOAD = "gm.supervisor.registry_follower.load_bundle"


@pytest.mark.parametrize(
    ("where", "error"),
    [
        (LISTING, PermissionError(13, "denied")),
        (RUN, state.Fail("denied")),
        (RUN, ValueError("denied")),
        (LOAD, OSError(5, "denied")),
        (LOAD, ValueError("denied")),
    ],
)
def test_an_error_that_nobody_named_is_a_fault_of_the_bundle(
    root, life, monkeypatch, where, error
) -> None:
    one = candidate(root, "one")
    lift(root, "one")

    def fail(*_arguments: Any) -> None:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(where, fail)
        life.until(lambda: notes(root, one))
    assert "denied" in notes(root, one)[0]
    life.until_live(one)


def test_what_falls_while_another_is_promoted_is_not_offered_by_a_rollback(root, life) -> None:
    one, two = fallen(root, life)
    three = candidate(root, "three")
    lift(root, "three")  # before the registry hears of the fall
    life.until(lambda: life.engine.live[0] == three)
    entry = read_registry(root).of_hash(two)
    assert entry is not None
    assert (entry.state, entry.history[-1].cause) == ("retired", "rolled_back")
    rollback(root, PROFILE, ACT, Terms())
    life.until_live(one)


def test_a_live_bundle_that_failed_here_is_said_once(root, life) -> None:
    one, two = fallen(root, life)
    life.until(lambda: state_of(root, two) == "retired")
    life.settle()
    shutil.rmtree(root)  # as if the registry had been made anew
    candidate(root, "one", named(root.parent / "anew_one", "one"))
    candidate(root, "two", named(root.parent / "anew_two", "two"))
    lift(root, "two")
    with capture_logs() as lines:
        life.settle()
        life.settle()
    (line,) = [line for line in lines if line["event"] == "live bundle not to be had"]
    assert line["log_level"] == "error"
    assert (line["sha256"], line["goes_on"]) == (two, one)
    assert line["why"] == "failed in this run"


def test_a_page_that_the_journal_never_bears_out_is_said(root, life) -> None:
    life.engine.falls = 1
    with capture_logs() as lines:
        life.attend(4 * 4)
        assert lines == []
        life.attend(4 * 10)
    (line,) = [line for line in lines if line["event"] == "models are not steered"]
    assert (line["falls_in_journal"], line["falls_of_engine"]) == (0, 1)


def test_a_bundle_without_tactical_agents_is_refused_for_two_levels(tmp_path, root) -> None:
    (tmp_path / "run").mkdir()
    life = Life(Engine(), tmp_path / "run", root, profile="two_level")
    hashes = []
    for bundle in (named(tmp_path / "source_flat", "flat"), six_networks(tmp_path / "source_six")):
        add_bundle(root, bundle.path, "two_level", ACT, Terms())
        for target in ("shadow", "live"):
            promote(root, bundle.manifest.name, target, ACT, Terms())
        hashes.append(bundle.sha256)
        if len(hashes) == 1:
            life.until(lambda: notes(root, hashes[0]))
    assert "no tactical agents, profile two_level wants them" in notes(root, hashes[0])[0]
    life.until_live(hashes[1])
    assert life.engine.commands == ["load", "promote"]
    life.finish()
