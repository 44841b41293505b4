"""Real pages in a real browser."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
CONSOLE_PX = (1280, 1024)
MAY_SOUND = "--autoplay-policy=no-user-gesture-required"


class Browsers:
    """Chromium, started when a test first asks for it. One in a process: playwright allows no second loop."""

    def __init__(self, playing: Any) -> None:
        self._playing = playing
        self._started: dict[bool, Any] = {}

    def get(self, *, may_sound: bool = True) -> Any:
        """A browser that lets pages sound by themselves, or one that asks for a press first."""
        if may_sound not in self._started:
            arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
            arguments += [MAY_SOUND] if may_sound else []
            self._started[may_sound] = self._playing.chromium.launch(executable_path=CHROMIUM, args=arguments)
        return self._started[may_sound]

    def close(self) -> None:
        """Ends them."""
        for browser in self._started.values():
            browser.close()


@contextmanager
def browsers() -> Iterator[Browsers]:
    """Skips where there is no browser."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    with playwright.sync_playwright() as playing:
        started = Browsers(playing)
        yield started
        started.close()


@contextmanager
def station(
    browser: Any,
    address: str,
    *,
    name: str = "R. Example",
    theme: str = "dark",
    size_px: tuple[int, int] = CONSOLE_PX,
    live: bool = True,
    asked: list[str] | None = None,
    **more: Any,
) -> Iterator[Any]:
    """A page of a station of its own, waited for until it is `live`. At the end: its policy refused nothing, nothing threw.

    `asked` collects the addresses of all that the page requests.
    """
    width, height = size_px
    context = browser.new_context(viewport={"width": width, "height": height}, **more)
    context.set_default_timeout(8000)
    context.add_cookies([{"name": "bleedwatch-theme", "value": theme, "url": address}])
    if name:
        context.add_init_script(f"localStorage.setItem('bleedwatch-name', {name!r})")
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda line: complaints.append(line.text) if "Content Security Policy" in line.text else None)
    if asked is not None:
        page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    if live:
        page.wait_for_selector("body.live")
    yield page
    context.close()
    assert complaints == []


def wait_for(what: Callable[[], object], *, within_s: float = 3.0) -> float:
    """Waits until it holds; how long that took."""
    began_s = time.monotonic()
    while time.monotonic() - began_s < within_s:
        if what():
            return time.monotonic() - began_s
        time.sleep(0.01)
    raise AssertionError(f"it did not happen within {within_s:g} s")


def until(page: Any, expression: str, *, within_s: float = 6.0) -> float:
    """Waits until it holds in the page, whose policy forbids what playwright's own waiting does."""
    return wait_for(lambda: page.evaluate(expression), within_s=within_s)
