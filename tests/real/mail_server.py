"""A real mail server on loopback, as small as it can be: it speaks SMTP with STARTTLS, TLS and a login."""

import base64
import contextlib
import shutil
import socketserver
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import cast

import pytest


@dataclass(frozen=True, kw_only=True)
class Letter:
    """One letter as it came, and what was true of the way."""

    sender: str
    to: tuple[str, ...]
    payload: bytes
    encrypted: bool
    login: str
    at_s: float

    @property
    def parsed(self) -> EmailMessage:
        return cast(EmailMessage, message_from_bytes(self.payload, policy=default))

    @property
    def text(self) -> str:
        return str(self.parsed.get_content()).replace("\r\n", "\n")


@dataclass
class MailServer:
    """What has come, and what is replied. `reply` gives a reply to a command (its first word in capitals; LETTER is the
    end of a letter) instead of the usual one ("" closes the connection), `stall_s` seconds to wait before the reply to a whole letter."""

    reply: Callable[[str], str | None] = lambda _command: None
    stall_s: float = 0.0
    letters: list[Letter] = field(default_factory=list)
    port: int = 0
    users: dict[str, str] = field(default_factory=dict)


def made_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 and its key; whoever wants to trust it sets SSL_CERT_FILE to the first."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate of this test")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    words += ["-keyout", str(key), "-out", str(certificate), "-days", "2", "-subj", "/CN=127.0.0.1"]
    subprocess.run([*words, "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    return certificate, key


@contextlib.contextmanager
def open_mail_server(*, tls: ssl.SSLContext | None = None, tls_at_once: bool = False) -> Iterator[MailServer]:
    """Listens until the block ends. With `tls` it offers STARTTLS, or speaks TLS from the first byte."""
    state = MailServer()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            _Conversation(self, state, tls, tls_at_once).hold()

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True

        def handle_error(self, *_: object) -> None:
            """A client that breaks off is what some tests want."""

    with Server(("127.0.0.1", 0), Handler) as server:
        state.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield state
        finally:
            server.shutdown()
            thread.join()


class _Conversation:
    def __init__(
        self, handler: socketserver.StreamRequestHandler, state: MailServer, tls: ssl.SSLContext | None, at_once: bool
    ) -> None:
        self._handler, self._state, self._tls = handler, state, tls
        self._encrypted, self._login, self._sender, self._to = False, "", "", list[str]()
        if tls is not None and at_once:
            self._wrap()

    def hold(self) -> None:
        self._say("220 mail of the test")
        while line := self._handler.rfile.readline(2000):
            word, _, rest = line.decode().strip().partition(" ")
            command = f"{word.upper()} {rest}".strip()
            said = self._state.reply(command)
            if said is None:
                said = self._usual(command)
            if not said:
                return
            self._say(said)
            if command == "STARTTLS" and said.startswith("220"):
                self._wrap()
            if command == "QUIT":
                return

    def _usual(self, command: str) -> str:
        word = command.split(" ")[0]
        if word in ("EHLO", "HELO"):
            offers = ["mail of the test", "SIZE 100000", "AUTH PLAIN"]
            offers += ["STARTTLS"] if self._tls is not None and not self._encrypted else []
            return "\r\n".join([*(f"250-{one}" for one in offers[:-1]), f"250 {offers[-1]}"])
        if word == "STARTTLS":
            return "220 go on" if self._tls is not None else "502 no"
        if word == "AUTH":
            return self._authenticate(command.split(" ")[2])
        if word == "MAIL":
            self._sender, self._to = command.partition(":")[2].split(" ")[0].strip("<>"), []
            return "250 ok"
        if word == "RCPT":
            self._to.append(command.partition(":")[2].strip("<>"))
            return "250 ok"
        if word == "DATA":
            self._say("354 go on")
            return self._take()
        return "221 bye" if word == "QUIT" else "250 ok" if word in ("RSET", "NOOP") else "500 what"

    def _authenticate(self, said: str) -> str:
        _, user, password = base64.b64decode(said).decode().split("\0")
        if self._state.users.get(user) != password:
            return "535 no"
        self._login = user
        return "235 yes"

    def _take(self) -> str:
        lines = []
        while (line := self._handler.rfile.readline(2000)) != b".\r\n":
            lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
        self._state.letters.append(
            Letter(
                sender=self._sender,
                to=tuple(self._to),
                payload=b"".join(lines),
                encrypted=self._encrypted,
                login=self._login,
                at_s=time.monotonic(),
            )
        )
        time.sleep(self._state.stall_s)
        return self._state.reply("LETTER") or "250 taken"

    def _say(self, line: str) -> None:
        self._handler.wfile.write(line.encode() + b"\r\n")

    def _wrap(self) -> None:
        assert self._tls is not None
        self._handler.connection = self._tls.wrap_socket(self._handler.connection, server_side=True)
        self._encrypted = True
        self._handler.rfile = self._handler.connection.makefile("rb", -1)
        self._handler.wfile = self._handler.connection.makefile("wb", 0)
