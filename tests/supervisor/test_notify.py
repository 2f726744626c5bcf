"""Promise: systemd hears what it must, and no trouble with it reaches the engine."""

import os
import socket

import pytest

from gm.supervisor.notify import Notifier


@pytest.fixture
def inbox(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(tmp_path / "notify"))
        channel.settimeout(10)
        yield channel


def test_a_message_arrives_as_it_was_sent(tmp_path, inbox) -> None:
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")}).send("READY=1")
    assert inbox.recv(100) == b"READY=1"


def test_a_name_with_an_at_sign_lies_in_the_abstract_namespace() -> None:
    name = f"gm-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind("\0" + name)
        channel.settimeout(10)
        Notifier({"NOTIFY_SOCKET": "@" + name}).send("WATCHDOG=1")
        assert channel.recv(100) == b"WATCHDOG=1"


def test_without_systemd_nothing_is_sent(capfd) -> None:
    notifier = Notifier({})
    notifier.send("READY=1")
    assert notifier.watchdog_s == 0
    assert capfd.readouterr() == ("", "")


def test_a_socket_that_is_gone_is_told_on_stderr_and_stops_nothing(tmp_path, capfd) -> None:
    """Not on stdout: that is where `gm run --json` prints its one line."""
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).send("READY=1")
    out, err = capfd.readouterr()
    assert out == ""
    assert "systemd cannot be notified" in err


def test_a_full_socket_does_not_block(tmp_path, inbox, capfd) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")})
    for _ in range(2000):  # nobody reads
        notifier.send("WATCHDOG=1")
    assert "cannot be notified" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 30),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": str(os.getpid())}, 0.5),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": "1"}, 0),  # meant for another process
        ({"WATCHDOG_USEC": ""}, 0),
        ({"WATCHDOG_USEC": "soon"}, 0),
        ({"WATCHDOG_USEC": "-5"}, 0),
        ({}, 0),
    ],
)
def test_how_long_systemd_waits(environment, seconds) -> None:
    assert Notifier(environment).watchdog_s == seconds


def test_the_environment_of_the_process_is_the_default(monkeypatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "2000000")
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    assert Notifier().watchdog_s == 2
