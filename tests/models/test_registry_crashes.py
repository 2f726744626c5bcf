"""Promise: a registry outlives a death at any system call, and processes that write at once."""

import os
import shutil
import subprocess
import sys

import pytest

from gm.models import load_bundle, registry
from gm.models.registry import add_bundle, promote, rollback, unlisted
from gm.models.registry_state import read_registry
from gm.models.verification import Terms, Verification

from .make import named
from .test_registry import ACT, PROFILE, added, lifted, states


@pytest.fixture
def root(tmp_path):
    return tmp_path / "models"


class Killed(BaseException):
    """Nothing of the code under test catches it, as nothing catches SIGKILL."""


CALLS = ("mkdir", "rename", "fsync", "replace", "open")


def die_at(monkeypatch, position):
    """Let so many system calls of the kinds above succeed, and no more."""
    count = [0]

    def dying(real):
        def call(*arguments, **options):
            count[0] += 1
            if count[0] > position:
                raise Killed
            return real(*arguments, **options)

        return call

    for name in CALLS:
        monkeypatch.setattr(os, name, dying(getattr(os, name)))


def deaths(monkeypatch, act):
    """Run ``act`` dying at its first system call, its second, ... until it lives."""
    for position in range(500):
        has_died = False
        with monkeypatch.context() as patch:
            die_at(patch, position)
            try:
                act()
            except Killed:
                has_died = True
        if not has_died:
            return
        yield position
    raise AssertionError("500 system calls and no end")


def sound(root):
    for entry in read_registry(root).entries:
        assert load_bundle(root / entry.folder).sha256 == entry.sha256


def test_death_while_adding_leaves_a_registry_that_takes_the_bundle(root, tmp_path, monkeypatch):
    added(root, "one")
    source = named(tmp_path / "source", "two").path
    kept, died = tmp_path / "kept", 0
    shutil.copytree(root, kept)

    def act():
        add_bundle(root, source, PROFILE, ACT, Terms())

    # Verification is not what dies here: it only reads, and has tests of its own.
    monkeypatch.setattr(
        registry, "verify_bundle", lambda path, *_: Verification(path=path, faults=())
    )
    for _ in deaths(monkeypatch, act):
        died += 1
        sound(root)
        assert set(states(root)) in ({"one"}, {"one", "two"})
        if "two" not in states(root):
            act()
        sound(root)
        assert states(root) == {"one": "candidate", "two": "candidate"}
        assert unlisted(root, read_registry(root)) == ()
        shutil.rmtree(root)
        shutil.copytree(kept, root)
    assert died > 25  # a folder, four files with their syncs, the rename, the state


@pytest.mark.parametrize("what", ["promote", "rollback"])
def test_death_while_going_live_leaves_one_live_bundle(root, tmp_path, monkeypatch, what):
    lifted(root, "one")
    two = added(root, "two")
    promote(root, two, "shadow", ACT, Terms())
    if what == "rollback":
        promote(root, two, "live", ACT, Terms())
    state_file = root / "registry.json"
    before = state_file.read_bytes()
    old, died = states(root), 0

    def act():
        if what == "promote":
            promote(root, two, "live", ACT, Terms())
        else:
            rollback(root, PROFILE, ACT, Terms())

    # The checks are not what dies here; they are slow, and have tests of their own.
    monkeypatch.setattr(
        registry, "verify_bundle", lambda path, *_: Verification(path=path, faults=())
    )
    for _ in deaths(monkeypatch, act):
        died += 1
        found = states(root)
        assert sorted(found.values()) in (["live", "shadow"], ["live", "retired"])
        if found != old:  # it was done already; begin anew
            state_file.write_bytes(before)
    assert died >= 5
    live = {"promote": "two", "rollback": "one"}[what]
    assert [name for name, state in states(root).items() if state == "live"] == [live]


def test_processes_that_add_at_once_lose_no_entry(root, tmp_path):
    sources = [named(tmp_path / f"source{i}", f"model_{i}").path for i in range(4)]
    code = (
        "import sys; from pathlib import Path; from gm.models.registry import Act, add_bundle\n"
        "from gm.models.verification import Terms\n"
        "act = Act(person='ada', reason='race', at_ts_ns=1)\n"
        "add_bundle(Path(sys.argv[1]), Path(sys.argv[2]), 'strategic_only', act, Terms())"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", code, str(root), str(source)]) for source in sources
    ]
    assert [process.wait(120) for process in running] == [0] * 4
    state = read_registry(root)
    assert sorted(entry.name for entry in state.entries) == [f"model_{i}" for i in range(4)]
    assert sorted(entry.history[0].change for entry in state.entries) == [1, 2, 3, 4]
    sound(root)
