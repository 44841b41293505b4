"""Takes a picture of every page in every state, dark and light, in the sizes that people have.

All patients and people are invented, all heads are drawn. `make pictures` writes them to docs/pictures.
"""

import argparse
import base64
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from rich.progress import track

from appliance.records.ledger import Ledger
from appliance.records.upgrade import upgrade
from tests.real.browsing import browsers, station
from tests.real.picture_scenes import LADDER, SCENES, Shown
from tests.real.scenes import Scene
from tests.real.served import CONFIG, Served, served

THEMES: Final = ("dark", "light")
CONSOLE, WALL, TABLET, PHONE = (1280, 1024), (1920, 1080), (820, 1180), (390, 844)
NARROW: Final = {
    "board-several": {"tablet": TABLET, "phone": PHONE},
    "board-calm": {"phone": PHONE},
    "study": {"tablet": TABLET, "phone": PHONE},
    "alerts": {"tablet": TABLET, "phone": PHONE},
    "system": {"tablet": TABLET, "phone": PHONE},
}
"""Which states are also shown on small screens."""
QUALITY: Final = 82
MOST_BYTES: Final = 400_000
SETTLED_MS: Final = 2600
"""Until the page has said that its sound is armed, and the box that it was heard."""


def sizes(shown: Shown) -> dict[str, tuple[int, int]]:
    """By suffix: a kiosk hangs on a wall, all else stands on the console; some states in other sizes too."""
    first = WALL if shown.path == "kiosk" else CONSOLE
    return {"": first, **{f"-{name}": size for name, size in NARROW.get(shown.name, {}).items()}}


@contextmanager
def built(shown: Shown, migrated: Path) -> Iterator[tuple[str, Served]]:
    """The address of a page in this state, and the board of its own that serves it."""
    with tempfile.TemporaryDirectory(prefix="bleedwatch-picture-") as folder:
        path = Path(shutil.copy(migrated, Path(folder) / "ledger.db"))
        with Ledger.open(path) as ledger:
            scene = Scene(ledger=ledger, store=Path(folder) / "store", now_ns=time.time_ns())
            study = getattr(shown.build(scene), "study_id", 0)
            with served(path, scene.store, config=replace(CONFIG, escalation=LADDER)) as board:
                shown.tell(board, study)
                yield board.address + shown.path.format(study=study), board


def take(page: Any, place: Path) -> None:
    """A WebP of what the page shows."""
    session = page.context.new_cdp_session(page)
    shot = session.send("Page.captureScreenshot", {"format": "webp", "quality": QUALITY})
    place.write_bytes(base64.b64decode(shot["data"]))
    assert place.stat().st_size < MOST_BYTES, f"{place.name} has {place.stat().st_size} bytes"


def take_all(browser: Any, shown: Shown, migrated: Path, folder: Path) -> None:
    """One state in its sizes and both themes."""
    for theme in THEMES:
        with built(shown, migrated) as (address, board):
            for suffix, size_px in sizes(shown).items():
                with opened(browser, shown, address, theme=theme, size_px=size_px) as page:
                    if shown.without_box:
                        board.stop.set()
                    shown.prepare(page)
                    page.wait_for_timeout(SETTLED_MS)
                    take(page, folder / f"{shown.name}{suffix}-{theme}.webp")


def opened(
    browser: Any, shown: Shown, address: str, *, theme: str, size_px: tuple[int, int]
) -> AbstractContextManager[Any]:
    """The page of a state, the beacon held still."""
    name = "R. Example" if shown.named else ""
    return station(
        browser, address, name=name, theme=theme, size_px=size_px, live=shown.live, reduced_motion="reduce",
        **shown.context,
    )  # fmt: skip


def write_index(folder: Path) -> None:
    """A page that shows the dark one of each state, with links to the others."""
    lines = [
        "# The pages in all their states",
        "",
        "All patients and people are invented, all heads are drawn. `make pictures` takes these anew.",
        "",
    ]
    for shown in SCENES:
        others = [f"{shown.name}{suffix}-{theme}" for suffix in sizes(shown) for theme in THEMES][1:]
        links = ", ".join(f"[{other.removeprefix(shown.name + '-')}]({other}.webp)" for other in others)
        lines += [f"## {shown.name}", "", f"![{shown.name}]({shown.name}-dark.webp)", "", f"Also: {links}.", ""]
    (folder / "README.md").write_text("\n".join(lines), encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> None:
    """All pictures, or those of the states that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", help="states; all by default")
    said = parser.parse_args(arguments)
    wanted = [shown for shown in SCENES if not said.names or shown.name in said.names]
    said.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, browsers() as chromium:
        migrated = Path(folder) / "ledger.db"
        upgrade(migrated)
        for shown in track(wanted, description="Pictures"):
            take_all(chromium.get(), shown, migrated, said.folder)
    write_index(said.folder)


if __name__ == "__main__":
    main()
