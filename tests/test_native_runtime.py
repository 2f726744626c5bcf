"""Promise: every process finds a run's sockets in the same place, and what cannot run says why."""

import hashlib
import os
from pathlib import Path

import pytest
import zmq

from gm import errors
from gm._native import runtime


@pytest.fixture(autouse=True)
def _no_systemd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)


def test_the_runtime_directory_follows_from_the_run_directory_alone(tmp_path: Path) -> None:
    found = runtime.find_endpoints(str(tmp_path / "run"))
    digits = hashlib.sha256(str(tmp_path / "run").encode()).hexdigest()[:12]
    assert found["runtime_dir"] == f"/dev/shm/gm-{os.getuid()}-{digits}"
    assert found["orders"] == f"ipc://{found['runtime_dir']}/orders"
    assert not Path(found["runtime_dir"]).exists()


def test_systemd_names_the_runtime_directory_and_it_is_made_private(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNTIME_DIRECTORY", f"{tmp_path}/rt:{tmp_path}/other")
    found = runtime.find_endpoints(str(tmp_path / "run"), make=True)
    assert found["runtime_dir"] == f"{tmp_path}/rt"
    assert (tmp_path / "rt").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "run").is_dir()


def test_a_socket_path_that_is_too_long_is_refused_with_its_length(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNTIME_DIRECTORY", "/" + "x" * 120)
    with pytest.raises(errors.CoreError, match="126 bytes, at most 107"):
        runtime.find_endpoints(str(tmp_path))


def test_the_library_is_the_one_that_pyzmq_loaded() -> None:
    path = runtime.libzmq_path()
    assert Path(path).name.startswith("libzmq")
    assert path in Path("/proc/self/maps").read_text()


def test_a_run_directory_without_an_engine_has_no_status(tmp_path: Path) -> None:
    with pytest.raises(errors.CoreError, match="status"):
        runtime.read_status(str(tmp_path))


def test_a_core_is_refused_for_a_library_a_driver_or_settings_that_are_not_there(
    tmp_path: Path,
) -> None:
    context = zmq.Context()
    good = (str(tmp_path), runtime.libzmq_path(), context.underlying)
    with pytest.raises(errors.CoreError, match="not loaded in this process"):
        runtime.Core(b"", str(tmp_path), "/nowhere/libzmq.so.5", context.underlying)
    with pytest.raises(ValueError, match="driver must be one of inline, threaded: fast"):
        runtime.Core(b"", *good, driver="fast")  # type: ignore[arg-type]
    with pytest.raises(errors.CoreError, match="settings"):
        runtime.Core(b"nonsense", *good)
    context.term()


def test_a_replay_needs_the_settings_of_the_run(tmp_path: Path) -> None:
    with pytest.raises(errors.CoreError, match=r"settings\.bin"):
        runtime.replay(str(tmp_path), str(tmp_path / "copy"))
