"""/metrics, /health and /ready on a loopback port, answered by threads of their own.

A slow or silent client costs a thread for at most REQUEST_TIMEOUT_S, however slowly it sends; more
than CONNECTIONS_MAX clients are turned away. The engine never waits.
"""

import io
import json
import socket
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer, ThreadingMixIn
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from gm.errors import ConfigError

REQUEST_TIMEOUT_S = 5.0
CONNECTIONS_MAX = 32
POLL_S = 0.1  # how long close() waits at most

State = Callable[[], dict[str, Any]]


class MetricsServer:
    """The HTTP side of a running engine. Made: the port is taken. Started: it answers.

    Parameters
    ----------
    host, port : str, int
        Loopback address; port 0 takes a free one, which ``port`` then names.
    registry : CollectorRegistry
        What /metrics shows.
    state : callable
        Gives ``{"healthy": bool, "ready": bool, ...}``; the whole of it is the body of /health and
        /ready.

    Raises
    ------
    ConfigError
        If the port cannot be had.
    """

    def __init__(self, host: str, port: int, registry: CollectorRegistry, state: State) -> None:
        class Handler(_Handler):
            answers = _Answers(registry, state)

        try:
            self._server = _server_class(host)((host, port), Handler)
        except OSError as error:
            raise ConfigError(f"metrics.port: {host}:{port}: {error.strerror}") from error
        self.port = int(self._server.server_address[1])
        self.address = f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(POLL_S,), name="gm-metrics", daemon=True
        )

    @property
    def is_started(self) -> bool:
        """Whether requests are answered."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin to answer; who has connected before is answered now."""
        self._thread.start()

    def close(self) -> None:
        """Stop answering and give the port back."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()


class _Answers:
    """What each path says. Called by many threads at once."""

    def __init__(self, registry: CollectorRegistry, state: State) -> None:
        self._registry = registry
        self._state = state

    def of(self, path: str) -> tuple[int, str, bytes]:
        if path == "/metrics":
            return 200, CONTENT_TYPE_LATEST, generate_latest(self._registry)
        if path in ("/health", "/ready"):
            now = self._state()
            is_good = now["healthy"] if path == "/health" else now["ready"]
            return 200 if is_good else 503, "application/json", json.dumps(now).encode() + b"\n"
        return 404, "text/plain", b"/metrics, /health or /ready\n"


class _Server(ThreadingMixIn, TCPServer):
    # Not http.server.HTTPServer: that one asks the name service who it is before it listens.
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = CONNECTIONS_MAX

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self._free = threading.BoundedSemaphore(CONNECTIONS_MAX)
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:  # no thread could be had
            self._free.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """A client that goes away in the middle is no event; anything else is shown."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Server6(_Server):
    address_family = socket.AF_INET6


def _server_class(host: str) -> type[_Server]:
    return _Server6 if ":" in host else _Server


class _Patient(io.RawIOBase):
    """A socket's bytes until a deadline; each of them alone would renew a socket's own timeout."""

    def __init__(self, connection: socket.socket, timeout_s: float) -> None:
        self._connection = connection
        self._until_s = time.monotonic() + timeout_s

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401
        left_s = self._until_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("the request takes too long")
        self._connection.settimeout(left_s)
        return self._connection.recv_into(buffer)


class _Handler(BaseHTTPRequestHandler):
    answers: _Answers
    timeout = REQUEST_TIMEOUT_S

    def setup(self) -> None:
        super().setup()
        self.rfile.close()
        self.rfile = io.BufferedReader(_Patient(self.connection, self.timeout))

    def do_GET(self) -> None:
        code, kind, body = self.answers.of(self.path.partition("?")[0])
        self.connection.settimeout(self.timeout)
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """A scrape every few seconds is not news."""
