"""A real page in a real browser, where there is one: when each alert was painted. It is no part of the product."""

import os
import shutil
import threading
from typing import Any, Final, Self

OPEN_WITHIN_S: Final = 60.0
_NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
_ALERT: Final = "alert-"

# Notes in the page's own clock when the frame that shows a card has been handed over. What comes behind an animation
# frame is a message to itself: it is dealt with after that frame.
_NOTE_PAINTS: Final = """() => {
  const painted = window.benchmarkPainted = {};
  const look = () => {
    for (const card of document.querySelectorAll('[data-key^="alert-"]')) {
      const key = card.dataset.key;
      if (key in painted) continue;
      painted[key] = 0;
      requestAnimationFrame(() => {
        const after = new MessageChannel();
        after.port1.onmessage = () => { painted[key] = performance.timeOrigin + performance.now(); };
        after.port2.postMessage(null);
      });
    }
  };
  new MutationObserver(look).observe(document.querySelector('main'), { childList: true, subtree: true });
  look();
}"""


def why_none() -> str:
    """Why no browser can be asked here, in words; empty where one can."""
    try:
        import playwright.sync_api  # noqa: F401 - whether it is there
    except ModuleNotFoundError:
        return "playwright is not installed (the test extra brings it)"
    return "" if _program() else f"no browser is installed ({', '.join(_NAMES)})"


def _program() -> str | None:
    return next((found for name in _NAMES if (found := shutil.which(name))), None)


class BrowserFailed(Exception):
    """The browser did not do what it must; the message says what."""


class Painting:
    """A board in a browser, in a thread of its own: its loop stays with the thread that began it."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._opened = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look_on, name="browser", daemon=True)
        self._fault = ""
        self.painted_ns: dict[int, int] = {}
        """Wall clock by alert, known once the block has ended."""

    def open(self) -> None:
        """BrowserFailed if the page does not open; there is nothing to close then."""
        self._thread.start()
        if not self._opened.wait(OPEN_WITHIN_S) or self._fault:
            self._ended.set()
            raise BrowserFailed(self._fault or "the page did not open in time")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(timeout=OPEN_WITHIN_S)

    def _look_on(self) -> None:
        from playwright.sync_api import Error, sync_playwright

        try:
            with sync_playwright() as playing:
                browser = playing.chromium.launch(
                    executable_path=_program(), args=["--no-sandbox"] if os.geteuid() == 0 else []
                )
                page = browser.new_page(viewport={"width": 1280, "height": 1024})
                page.goto(self._address)
                page.wait_for_selector("body.live")
                page.evaluate(_NOTE_PAINTS)
                self._opened.set()
                self._ended.wait()
                self.painted_ns = _by_alert(page.evaluate("window.benchmarkPainted"))
                browser.close()
        except Error as error:
            self._fault = str(error).partition("\n")[0][:200]
        finally:
            self._opened.set()


def _by_alert(painted: dict[str, Any]) -> dict[int, int]:
    return {
        int(key.removeprefix(_ALERT)): int(at_ms * 1e6)
        for key, at_ms in painted.items()
        if at_ms and key.removeprefix(_ALERT).isdecimal()
    }
