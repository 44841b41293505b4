"""A gateway of the demo's own: takes signed messages on loopback, and believes none that is not signed."""

import hashlib
import hmac
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MOST_BYTES = 64 * 1024


class Receiver:
    """`received`: each message with the clock (ns) at its arrival."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self.received: list[tuple[dict[str, Any], int]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                arrived_ns = time.time_ns()
                body = self.rfile.read(min(int(self.headers.get("Content-Length", 0)), MOST_BYTES))
                signed = receiver.is_signed(
                    self.headers.get("X-Bleedwatch-Timestamp", ""), self.headers.get("X-Bleedwatch-Signature", ""), body
                )
                if signed:
                    receiver.received.append((json.loads(body), arrived_ns))
                self.send_response(204 if signed else 403)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, name="receiver", daemon=True)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_port}/alerts"

    def is_signed(self, timestamp: str, signature: str, body: bytes) -> bool:
        """HMAC-SHA256 over timestamp, a point and the body."""
        expected = hmac.new(self._secret, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
        return hmac.compare_digest(signature.removeprefix("sha256="), expected)

    def __enter__(self) -> "Receiver":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
