"""What tests of the study page share: a study whose bleed is told, and what its picture shows."""

from typing import Any

import numpy as np

from appliance.core.ledger import AlertRow
from appliance.core.words import Level, Outcome
from tests.real.browsing import until
from tests.real.scenes import Scanned, Scene, drawn_head, hump, raised
from tests.real.served import Served

SHOWS = "document.querySelector('#view').dataset.shows"
SLICE = "document.querySelector('#slice-words').textContent"


def study_address(board: Served, study_id: int) -> str:
    return f"{board.address}study/{study_id}"


def noisy_head(*, bleed: bool, seed: int) -> Any:
    """A head as large and as hard to compress as a scanner's."""
    random = np.random.default_rng(seed)
    hu = drawn_head(512, bleed=bleed).astype(np.int32)
    brain = (hu > 0) & (hu < 100)
    hu[brain] += np.rint(random.normal(0, 4, int(brain.sum()))).astype(np.int32)
    return hu.astype(np.int16)


def critical(scene: Scene, *, slices: int = 19, before_s: float = 5.0, large: bool = False) -> tuple[Scanned, AlertRow]:
    """A study that is landing and has raised CRITICAL; its key slice is the 16th."""
    scanned = scene.study("PHANTOM^ONE", number=1, before_s=before_s + 20)
    probabilities = hump(28, 15, 0.95)[:slices]
    heads = [noisy_head(bleed=one > 0.4, seed=n) for n, one in enumerate(probabilities)] if large else None
    scene.land(scanned, probabilities, hu=heads, pixel_mm=0.45 if large else 1.6, before_s=before_s)
    alert = scene.read(
        scanned, Outcome.CRITICAL, final=False, step=raised(Level.CRITICAL), before_s=before_s - 0.1,
        reasons=(("suspected-bleed", {"place": "inside the brain (IPH)", "side": "patient’s left"}),),
    )  # fmt: skip
    assert alert is not None
    return scanned, alert


def pixel(page: Any, row: float, column: float) -> list[int]:
    """Red, green and blue of the canvas at a place given as shares of its side."""
    return page.evaluate(
        """([row, column]) => {
            const one = document.querySelector('#view');
            const at = (share) => Math.floor(share * one.width);
            return [...one.getContext('2d').getImageData(at(column), at(row), 1, 1).data].slice(0, 3);
        }""",
        [row, column],
    )


def shows(page: Any, slice_id: int, window: str = "brain", *, heat: bool = True, invert: bool = False) -> None:
    until(page, f"{SHOWS} === '{slice_id} {window} {str(heat).lower()} {str(invert).lower()}'")
