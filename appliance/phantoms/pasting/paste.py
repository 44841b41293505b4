"""Bleeds pasted into the real bleed-free slices of a host, each with its clean twin."""

from __future__ import annotations

from collections.abc import Collection, Set
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.phantoms.bleeds import KINDS
from appliance.phantoms.fields import Field
from appliance.phantoms.pasting.host import Host
from appliance.phantoms.pasting.in_brain import iph
from appliance.phantoms.pasting.in_fluid import ivh, sah
from appliance.phantoms.pasting.lesion import Lesion, middle_of, reached, volume_ml
from appliance.phantoms.pasting.mimics import MIMIC_NAMES, add_mimics
from appliance.phantoms.pasting.outside_brain import edh, sdh
from appliance.phantoms.pasting.painting import paint
from appliance.phantoms.pasting.sight import what_shows
from appliance.phantoms.pasting.site import Site, whole_box

FULL_COVER = 250
"""A pixel of nothing but blood, in `Pasted.covers`."""

_MAKERS = {"edh": edh, "iph": iph, "ivh": ivh, "sah": sah, "sdh": sdh}
_OFTEN = {"edh": 0.17, "iph": 0.25, "ivh": 0.14, "sah": 0.20, "sdh": 0.24}
_SECOND_SHARE = 0.3
_SECOND_OFTEN = {
    "edh": {"sah": 0.35, "sdh": 0.30, "iph": 0.25},
    "iph": {"ivh": 0.61, "sah": 0.60, "sdh": 0.35},
    "ivh": {"iph": 0.60, "sah": 0.45, "sdh": 0.15},
    "sah": {"iph": 0.55, "sdh": 0.45, "ivh": 0.35},
    "sdh": {"sah": 0.64, "iph": 0.63, "ivh": 0.20},
}
"""How often the others go along (192 published exams): a second kind is drawn by these."""

_TRIES = 5
_KINDS_TRIED = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Pasted:
    """The slices of a host that a lesion reaches, and their clean twins: the same mimics, no bleed.

    `indices` [k] into the host, rising; `hu`, `clean` int16 [k, H, W]; `covers` uint8 [k, H, W, 5] share of each pixel
    that is blood of each of KINDS, 0..FULL_COVER. `labels` int8 [k, 6], any and KINDS: 1 where an eye could see it,
    -1 where there is only a trace, else 0. `faint` [k]: traces only.
    """

    indices: NDArray[np.int64]
    hu: NDArray[np.int16]
    clean: NDArray[np.int16]
    covers: NDArray[np.uint8]
    labels: NDArray[np.int8]
    faint: NDArray[np.bool_]
    volumes_ml: dict[str, float]


def paste(
    rng: np.random.Generator,
    host: Host,
    *,
    mimic_share: float = 0.5,
    without: Set[str] = frozenset(),
    kinds: Collection[str] = KINDS,
) -> Pasted | None:
    """Paste one bleed of `kinds`, or two that go together; None where nothing would show, or the host shows no free brain.

    `mimic_share`: how often the slices get mimics of blood, the pasted ones and their twins alike; never those named in
    `without`. ValueError for a name that is not of MIMIC_NAMES or KINDS.
    """
    _refuse_unknown(without, kinds)
    area = np.where(host.free, host.brain_mm2, 0.0)
    if not area.any():
        return None
    often = np.array([_OFTEN[kind] if kind in kinds else 0.0 for kind in KINDS])
    for _ in range(_KINDS_TRIED):
        kind = str(rng.choice(KINDS, p=often / often.sum()))
        for _ in range(_TRIES):
            index = int(rng.choice(area.size, p=area / area.sum()))
            lesion = _make(rng, host, kind, index)
            if lesion is None:
                continue
            lesions = [lesion, *_partner(rng, host, lesion, kinds)]
            if (found := _pasted(rng, host, lesions, mimic_share, without)) is not None:
                return found
    return None


def _refuse_unknown(without: Set[str], kinds: Collection[str]) -> None:
    if strangers := sorted(without - set(MIMIC_NAMES)):
        raise ValueError(f"no mimics: {', '.join(strangers)}")
    if not kinds or not set(kinds) <= set(KINDS):
        raise ValueError(f"kinds must be some of {', '.join(KINDS)}")


def _pasted(
    rng: np.random.Generator, host: Host, lesions: list[Lesion], mimic_share: float, without: Set[str]
) -> Pasted | None:
    indices = np.unique(np.concatenate([part.site.indices for part in lesions]))
    clean = host.hu[indices][:, host.box[0], host.box[1]].astype(np.float32)
    if rng.random() < mimic_share:
        whole = Site(host=host, indices=indices, window=whole_box(host))
        add_mimics(rng, clean, whole, [middle_of(part) for part in lesions if part.kind == "edh"], without)
        np.rint(clean, out=clean)
    picture = clean.copy()
    covers = np.zeros((clean.shape[0], len(KINDS), *clean.shape[1:]), dtype=np.float32)
    for lesion in lesions:
        cover = paint(rng, picture, indices, lesion)
        for k, i in enumerate(np.searchsorted(indices, lesion.site.indices)):
            part = covers[i][:, lesion.site.window[0], lesion.site.window[1]]
            part *= 1.0 - cover[k]
            part[KINDS.index(lesion.kind)] += cover[k]
    shown = what_shows(picture - clean, covers, host.pixel_mm)
    if not (shown.labels[:, 0] == 1).any():
        return None
    whole_covers = np.zeros((indices.size, *host.hu.shape[1:], len(KINDS)), dtype=np.uint8)
    whole_covers[:, host.box[0], host.box[1]] = np.moveaxis(np.rint(covers * FULL_COVER).astype(np.uint8), 1, -1)
    return Pasted(
        indices=indices,
        hu=_into(host, indices, picture),
        clean=_into(host, indices, clean),
        covers=whole_covers,
        labels=shown.labels,
        faint=shown.faint,
        volumes_ml={part.kind: volume_ml(part) for part in lesions},
    )


def _partner(rng: np.random.Generator, host: Host, first: Lesion, kinds: Collection[str]) -> list[Lesion]:
    partners = {kind: often for kind, often in _SECOND_OFTEN[first.kind].items() if kind in kinds}
    if rng.random() >= _SECOND_SHARE or not partners:
        return []
    weights = np.array(list(partners.values()))
    kind = str(rng.choice(list(partners), p=weights / weights.sum()))
    second = _make(rng, host, kind, int(rng.choice(first.site.indices)))
    return [] if second is None else [second]


def _make(rng: np.random.Generator, host: Host, kind: str, index: int) -> Lesion | None:
    lesion = _MAKERS[kind](rng, host, index)
    return None if lesion is None else reached(lesion)


def _into(host: Host, indices: NDArray[np.int64], part: Field) -> NDArray[np.int16]:
    """Put the head's box back into the whole slices; pixels that did not change keep their value to the bit."""
    whole = host.hu[indices].copy()
    whole[:, host.box[0], host.box[1]] = np.clip(np.rint(part), -1024, 3071).astype(np.int16)
    return whole
