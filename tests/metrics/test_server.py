"""Promise: /metrics, /health and /ready answer on loopback, whatever other clients do."""

import http.client
import json
import socket
import threading
import time

import pytest
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.parser import text_string_to_metric_families

from gm.errors import ConfigError
from gm.metrics import server as server_module
from gm.metrics.server import CONNECTIONS_MAX, MetricsServer

WAIT_S = 20.0


class Engine:
    """What the server is told: changed by the tests."""

    def __init__(self) -> None:
        self.state: dict[str, object] = {"healthy": True, "ready": True, "phase": "ready"}

    def __call__(self) -> dict[str, object]:
        return self.state


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def server(engine):
    registry = CollectorRegistry()
    Gauge("gm_answer", "Of everything.", registry=registry).set(42)
    made = MetricsServer("127.0.0.1", 0, registry, engine)
    made.start()
    yield made
    made.close()


def get(server: MetricsServer, path: str, method: str = "GET") -> tuple[int, str, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=WAIT_S)
    connection.request(method, path)
    answer = connection.getresponse()
    found = answer.status, answer.headers.get("Content-Type", ""), answer.read()
    connection.close()
    return found


def connect(server: MetricsServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=WAIT_S)


def raw(server: MetricsServer, request: bytes) -> bytes:
    with connect(server) as client:
        client.sendall(request)
        client.shutdown(socket.SHUT_WR)
        answer = b""
        while part := client.recv(65536):
            answer += part
        return answer


def test_metrics_are_text_that_prometheus_reads(server) -> None:
    code, kind, body = get(server, "/metrics?name=x")
    assert code == 200
    assert kind.startswith("text/plain")
    [family] = text_string_to_metric_families(body.decode())
    assert (family.name, family.samples[0].value) == ("gm_answer", 42)


@pytest.mark.parametrize(
    ("healthy", "ready", "codes"),
    [(True, True, (200, 200)), (True, False, (200, 503)), (False, False, (503, 503))],
)
def test_health_and_ready_follow_the_engine(server, engine, healthy, ready, codes) -> None:
    engine.state = {"healthy": healthy, "ready": ready, "phase": "replaying"}
    answers = [get(server, path) for path in ("/health", "/ready")]
    assert tuple(answer[0] for answer in answers) == codes
    assert all(json.loads(answer[2]) == engine.state for answer in answers)
    assert all(answer[1] == "application/json" for answer in answers)


def test_another_path_is_not_found_and_another_method_not_implemented(server) -> None:
    assert get(server, "/")[0] == 404
    assert get(server, "/metrics/../../etc/passwd")[0] == 404
    assert get(server, "/metrics", "POST")[0] == 501
    assert get(server, "/metrics")[0] == 200


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)),
        b"GET /metrics HTTP/9.9\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\nno colon here\r\n\r\n",
        b"\x00" * 1000,
        b"",
    ],
    ids=["empty", "tls", "version", "short", "headers", "long", "no colon", "zeros", "nothing"],
)
def test_a_malformed_request_harms_nobody(server, capfd, request_bytes) -> None:
    raw(server, request_bytes)
    assert get(server, "/health")[0] == 200
    assert capfd.readouterr().err == ""


def test_a_client_that_leaves_in_the_middle_is_no_event(server, capfd) -> None:
    for _ in range(20):
        with connect(server) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # RST
            client.sendall(b"GET /metrics HTTP/1.1\r\n")
    assert get(server, "/health")[0] == 200
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("drip", [b"", b"G"], ids=["silent", "slow"])
def test_a_silent_client_and_a_slow_one_cost_a_thread_no_longer_than_the_limit(
    engine, monkeypatch, drip
) -> None:
    """A byte now and then renews a socket's timeout, but not this one."""
    monkeypatch.setattr(server_module._Handler, "timeout", 0.3)
    server = MetricsServer("127.0.0.1", 0, CollectorRegistry(), engine)
    server.start()
    with connect(server) as client:
        started_s = time.monotonic()
        client.settimeout(0.05)
        is_open = True
        while is_open and time.monotonic() - started_s < WAIT_S:
            try:
                if drip:
                    client.send(drip)
                is_open = client.recv(1) != b""
            except TimeoutError:
                continue
            except OSError:
                is_open = False
        assert not is_open
        assert 0.2 < time.monotonic() - started_s < WAIT_S / 2
    server.close()


def test_too_many_clients_are_turned_away_and_a_place_that_is_free_is_given_again(
    server,
) -> None:
    before = threading.active_count()
    crowd = [connect(server) for _ in range(CONNECTIONS_MAX)]
    until_s = time.monotonic() + WAIT_S
    while threading.active_count() < before + CONNECTIONS_MAX and time.monotonic() < until_s:
        time.sleep(0.01)
    with connect(server) as one_more:
        assert one_more.recv(1) == b""
    assert threading.active_count() <= before + CONNECTIONS_MAX
    for client in crowd:
        client.close()
    while True:
        try:
            assert get(server, "/health")[0] == 200
            break
        except (ConnectionError, http.client.HTTPException):
            assert time.monotonic() < until_s
            time.sleep(0.01)


def test_many_at_once_are_all_answered(server) -> None:
    codes: list[int] = []
    threads = [
        threading.Thread(target=lambda: codes.append(get(server, "/metrics")[0]))
        for _ in range(CONNECTIONS_MAX // 2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    assert codes == [200] * len(threads)


def test_a_state_that_cannot_be_told_is_shown_and_does_not_end_the_server(
    server, engine, capfd
) -> None:
    engine.state = {}
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        get(server, "/health")
    assert get(server, "/metrics")[0] == 200
    assert "KeyError: 'healthy'" in capfd.readouterr().err


def test_only_loopback_is_listened_to(server) -> None:
    assert server._server.server_address[0] == "127.0.0.1"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing; tells which address would be used
        except OSError:
            return  # a machine with nothing but loopback
        own = probe.getsockname()[0]
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((own, server.port), timeout=WAIT_S)


def test_loopback_of_the_other_family_works_where_the_machine_has_it(engine) -> None:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        with pytest.raises(ConfigError, match=r"metrics\.port: ::1"):
            MetricsServer("::1", 0, CollectorRegistry(), engine)
        return
    server = MetricsServer("::1", 0, CollectorRegistry(), engine)
    server.start()
    connection = http.client.HTTPConnection("::1", server.port, timeout=WAIT_S)
    connection.request("GET", "/health")
    assert connection.getresponse().status == 200
    connection.close()
    server.close()
    assert server.address == f"[::1]:{server.port}"


def test_a_port_that_is_taken_is_a_configuration_error(server, engine) -> None:
    with pytest.raises(ConfigError, match=rf"metrics\.port: 127\.0\.0\.1:{server.port}: "):
        MetricsServer("127.0.0.1", server.port, CollectorRegistry(), engine)


def test_a_server_that_never_started_closes_and_gives_its_port_back(engine) -> None:
    first = MetricsServer("127.0.0.1", 0, CollectorRegistry(), engine)
    first.close()
    MetricsServer("127.0.0.1", first.port, CollectorRegistry(), engine).close()
