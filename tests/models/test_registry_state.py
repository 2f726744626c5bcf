"""Promise: registry.json is the old one or the next one, at whatever call the process dies."""

import os
import subprocess
import sys
import threading

import msgspec
import pytest

from gm.errors import ConfigError, TimedOut
from gm.models.registry_state import (
    Entry,
    Event,
    RegistryState,
    locked,
    read_registry,
    write_registry,
)


def entry(name, *states, profile="strategic_only", first=1, sha256=None):
    history = tuple(
        Event(change=first + i, at_ts_ns=i, state=s, cause="added", person="ada", reason="test")
        for i, s in enumerate(states)
    )
    digest = sha256 or name[-1] * 64
    return Entry(name=name, sha256=digest, profile=profile, history=history)


A, B = entry("model_a", "candidate"), entry("model_b", "candidate", "shadow", first=2)


def test_a_state_that_is_written_reads_back(tmp_path):
    state = RegistryState(entries=(A, B))
    write_registry(tmp_path, state)
    assert read_registry(tmp_path) == state
    assert state.changes == 3
    assert A.folder == "model_a-aaaaaaaaaaaa"


def test_an_absent_registry_is_empty(tmp_path):
    assert read_registry(tmp_path / "nowhere") == RegistryState()


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"\xff", b"null", b'{"format":2,"entries":[]}', b'{"entries":[],"x":1}',
     b'{"entries":[{"name":"a"}]}'],
)  # fmt: skip
def test_a_damaged_state_is_refused_and_not_made_anew(tmp_path, raw):
    path = tmp_path / "registry.json"
    path.write_bytes(raw)
    with pytest.raises(ConfigError, match=r"registry\.json"):
        read_registry(tmp_path)
    assert path.read_bytes() == raw


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        ((entry("model_a", "live"), entry("model_b", "live")), "two live bundles"),
        ((A, entry("model_a", "shadow")), "two bundles of one folder"),
        ((msgspec.structs.replace(B, history=B.history[::-1]),), "must ascend"),
    ],
)
def test_a_state_that_contradicts_itself_is_neither_written_nor_read(tmp_path, entries, says):
    state = RegistryState(entries=entries)
    with pytest.raises(ConfigError, match=says):
        write_registry(tmp_path, state)
    assert not list(tmp_path.iterdir())
    (tmp_path / "registry.json").write_bytes(msgspec.json.encode(state))
    with pytest.raises(ConfigError, match=says):
        read_registry(tmp_path)


def test_two_profiles_may_each_have_a_live_bundle():
    state = RegistryState(
        entries=(entry("model_a", "live"), entry("model_b", "live", profile="rule"))
    )
    assert state.live("rule").name == "model_b"
    assert state.live("strategic_only").name == "model_a"
    assert state.live("none") is None


class Killed(BaseException):
    """Nothing of the code under test catches it, as nothing catches SIGKILL."""


@pytest.mark.parametrize("call", ["open", "fsync", "replace", "second fsync"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_death_at_a_system_call_leaves_a_whole_state(tmp_path, monkeypatch, call, moment):
    old, new = RegistryState(entries=(A,)), RegistryState(entries=(A, B))
    write_registry(tmp_path, old)
    name = call.split()[-1]
    real, calls = getattr(os, name), []

    def dying(*arguments, **options):
        calls.append(arguments)
        if len(calls) < (2 if call.startswith("second") else 1):
            return real(*arguments, **options)
        if moment == "after":
            real(*arguments, **options)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(os, name, dying)
        with pytest.raises(Killed):
            write_registry(tmp_path, new)
    is_in_place = call == "second fsync" or (call, moment) == ("replace", "after") or call == "open"
    assert read_registry(tmp_path) == (new if is_in_place else old)
    write_registry(tmp_path, new)  # what the dead left is in nobody's way
    assert read_registry(tmp_path) == new


def test_a_torn_file_beside_is_never_read(tmp_path):
    write_registry(tmp_path, RegistryState(entries=(A,)))
    (tmp_path / "registry.json.new").write_bytes(b'{"format":1,"entr')
    assert read_registry(tmp_path).entries == (A,)


def test_a_lock_is_held_by_one_and_waited_for(tmp_path):
    inside = threading.Event()
    order = []

    def second():
        inside.wait()
        with locked(tmp_path, 10):
            order.append("second")

    thread = threading.Thread(target=second)
    with locked(tmp_path):
        thread.start()
        inside.set()
        with pytest.raises(TimedOut, match="held it for 0 s"), locked(tmp_path, 0):
            pass
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_the_lock_of_a_dead_process_is_free(tmp_path):
    code = (
        "import os, sys; from pathlib import Path; from gm.models.registry_state import locked\n"
        "with locked(Path(sys.argv[1])): os._exit(9)"
    )
    found = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False, timeout=60)
    assert found.returncode == 9
    with locked(tmp_path, 0):
        pass


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError, match=r"registry\.lock"), locked(tmp_path / "file"):
        pass
