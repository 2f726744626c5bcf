"""/metrics, /health and /ready on a loopback port, answered by threads of their own.

A slow or silent client costs a thread for at most REQUEST_TIMEOUT_S; the engine never waits.
"""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

REQUEST_TIMEOUT_S = 5.0
CONNECTIONS_MAX = 32


class MetricsServer:
    """The HTTP side of a running engine.

    Parameters
    ----------
    host, port : str, int
        Loopback address; port 0 takes a free one, which ``port`` then names.
    registry : CollectorRegistry
        What /metrics shows.
    state : callable
        Gives ``{"healthy": bool, "ready": bool, ...}``; the whole of it is the body of /health and
        /ready.
    """

    def __init__(
        self,
        host: str,
        port: int,
        registry: CollectorRegistry,
        state: Callable[[], dict[str, Any]],
    ) -> None:
        slots = threading.BoundedSemaphore(CONNECTIONS_MAX)

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = CONNECTIONS_MAX

            def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
                if not slots.acquire(blocking=False):
                    self.shutdown_request(request)
                    return
                super().process_request(request, client_address)

            def process_request_thread(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
                try:
                    super().process_request_thread(request, client_address)
                finally:
                    slots.release()

            def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
                """A client that goes away in the middle is no event."""

        class Handler(BaseHTTPRequestHandler):
            timeout = REQUEST_TIMEOUT_S

            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                if path == "/metrics":
                    self._answer(200, CONTENT_TYPE_LATEST, generate_latest(registry))
                elif path in ("/health", "/ready"):
                    now = state()
                    good = now["healthy"] if path == "/health" else now["ready"]
                    body = json.dumps(now).encode() + b"\n"
                    self._answer(200 if good else 503, "application/json", body)
                else:
                    self._answer(404, "text/plain", b"/metrics, /health or /ready\n")

            def _answer(self, code: int, kind: str, body: bytes) -> None:
                self.send_response(code)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """A scrape every few seconds is not news."""

        self._server = Server((host, port), Handler)
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, name="gm-metrics")
        self._thread.start()

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
