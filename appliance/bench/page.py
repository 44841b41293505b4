"""A page of the console without a browser: what it receives, and when. Painting comes on top of it."""

import json
import secrets
import threading
import time
from typing import Final, Self

import httpx

OPEN_WITHIN_S: Final = 20.0
_TRY_AGAIN_S: Final = 0.1


class Page:
    """Follows the live stream of a board in a thread of its own. `seen_ns`: wall clock at which each alert came, by its id."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._ended = threading.Event()
        self._open = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="page", daemon=True)
        self.seen_ns: dict[int, int] = {}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()  # the stream speaks each second, so the thread ends by itself
        self._thread.join(timeout=5)

    def wait_until_open(self) -> bool:
        """Whether the box has said its first word in time."""
        return self._open.wait(OPEN_WITHIN_S)

    def _follow(self) -> None:
        while not self._ended.is_set():
            try:
                with httpx.Client(base_url=self._address, timeout=5, trust_env=False) as client:
                    client.get("/").raise_for_status()  # the cookie without which there is no stream
                    with client.stream(
                        "GET", "/stream", params={"page": secrets.token_hex(8), "place": "board"}
                    ) as live:
                        live.raise_for_status()
                        self._listen(live)
            except httpx.HTTPError:
                self._ended.wait(_TRY_AGAIN_S)

    def _listen(self, live: httpx.Response) -> None:
        kind = ""
        for line in live.iter_lines():
            if self._ended.is_set():
                return
            if line.startswith("event: "):
                kind = line.removeprefix("event: ")
                self._open.set()
            elif line.startswith("data: ") and kind == "board":
                arrived_ns = time.time_ns()
                for alarm in json.loads(line.removeprefix("data: "))["alarms"]:
                    self.seen_ns.setdefault(int(alarm["alert"]), arrived_ns)
