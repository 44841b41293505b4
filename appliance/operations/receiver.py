"""A gateway of the demo's own: takes signed messages on loopback, and believes none that is not signed."""

import hashlib
import hmac
import json
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Self

MOST_BYTES: Final = 64 * 1024
OLDEST_S: Final = 300
"""A signed message that is older may be one that somebody kept and sends again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message that was believed, and the clock (ns) at its arrival."""

    document: dict[str, Any]
    arrived_ns: int


class Receiver:
    """Listens on a free port while its block runs. `received`: each message once, however often it was sent."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._keys: set[str] = set()
        self.received: list[Message] = []
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.receiver = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="receiver", daemon=True)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_port}/alerts"

    def take(self, timestamp: str, signature: str, key: str, payload: bytes, arrived_ns: int) -> bool:
        """Keeps a message that is signed, fresh and new. Returns whether it was believed."""
        expected = "sha256=" + hmac.new(self._secret, timestamp.encode() + b"." + payload, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(signature.encode(), expected.encode()):
            return False
        if abs(int(timestamp) - arrived_ns // 1_000_000_000) > OLDEST_S:
            return False
        if key not in self._keys:
            self._keys.add(key)
            self.received.append(Message(document=json.loads(payload), arrived_ns=arrived_ns))
        return True

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    receiver: Receiver


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        arrived_ns = time.time_ns()
        payload = self.rfile.read(min(int(self.headers.get("Content-Length", 0)), MOST_BYTES))
        believed = self.server.receiver.take(
            self.headers.get("X-Bleedwatch-Timestamp", ""),
            self.headers.get("X-Bleedwatch-Signature", ""),
            self.headers.get("Idempotency-Key", ""),
            payload,
            arrived_ns,
        )
        self.send_response(204 if believed else 403)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing."""
