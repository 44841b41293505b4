"""A real gateway on loopback, which answers what a test wants."""

import contextlib
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Received:
    """One message, and the monotonic clock at its arrival."""

    headers: dict[str, str]
    payload: bytes
    at_s: float

    @property
    def key(self) -> str:
        return self.headers["Idempotency-Key"]

    @property
    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.payload)
        return found


@dataclass
class Gateway:
    """What has come, and what is answered to the n-th message: status, headers, seconds to wait before."""

    answer: Callable[[int], tuple[int, dict[str, str], float]] = lambda _n: (204, {}, 0.0)
    received: list[Received] = field(default_factory=list)
    port: int = 0
    scheme: str = "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/alerts"


@contextlib.contextmanager
def open_gateway(*, port: int = 0, tls: ssl.SSLContext | None = None) -> Iterator[Gateway]:
    """Listens until the block ends."""
    state = Gateway(scheme="https" if tls else "http")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            payload = self.rfile.read(int(self.headers["Content-Length"]))
            state.received.append(Received(headers=dict(self.headers), payload=payload, at_s=time.monotonic()))
            status, headers, wait_s = state.answer(len(state.received))
            time.sleep(wait_s)
            with contextlib.suppress(OSError):
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True  # one that sleeps does not hold up the end

        def handle_error(self, *_: object) -> None:
            """A client that breaks off is what some tests want."""

    with Server(("127.0.0.1", port), Handler) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        state.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield state
        finally:
            server.shutdown()
            thread.join()
