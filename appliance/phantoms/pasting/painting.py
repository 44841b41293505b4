"""Lesions painted into slices: local means are moved, the picture's own noise and grain stay."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from appliance.phantoms.fields import Field, as_field, smoothstep
from appliance.phantoms.pasting.host import INSIDE
from appliance.phantoms.pasting.lesion import LEAST_MOVE_PX, Lesion, Push, draw_mean
from appliance.phantoms.pasting.site import Site
from appliance.phantoms.pasting.slice_anatomy import is_soft, local_mean

_BLUR_PX = 0.55
_MEAN_MM = 1.5
_RIM_MM = 1.3
_MASK = 0.3
_CORE_OVER_BRAIN = 5.0
_CORE_HU = {"edh": 76.0, "iph": 74.0, "ivh": 66.0, "sah": 70.0, "sdh": 73.0}
_LEAST_OVER_BRAIN = {"edh": 9.0, "iph": 9.0, "ivh": -2.0, "sah": 0.0, "sdh": 8.0}


def paint(rng: np.random.Generator, picture: Field, slices: NDArray[np.int64], lesion: Lesion) -> Field:
    """Paint a lesion into `picture` float32 [m, h, w] (the host's box, slices `slices` of it), in place.

    Returns the share of each pixel of the lesion's site that is its blood, [k, h', w'].
    """
    site = lesion.site
    at = np.searchsorted(slices, site.indices)
    before = picture[at, site.window[0], site.window[1]]
    room = site.has(INSIDE) & is_soft(before)
    grain = before - local_mean(before, room, _MEAN_MM / site.host.pixel_mm)
    if lesion.push is not None:
        _move(picture, slices, lesion.push)
        before = picture[at, site.window[0], site.window[1]]
    share = _softened(lesion.share, room)
    rest = as_field(before + share * (lesion.texture + grain - before))
    if lesion.oedema is not None:
        rest -= lesion.oedema * room
    near_bone = site.depth() < _RIM_MM
    core = _core(rng, lesion, before, rest, share, near_bone)
    after = _blooded(before, rest, share, near_bone, core)
    for k, i in enumerate(at):
        picture[i][site.window] = after[k]
    return share


def _blooded(before: Field, rest: Field, share: Field, near_bone: NDArray[np.bool_], core: float) -> Field:
    after = rest + share * np.float32(core)
    return np.where(near_bone, np.maximum(after, before), after)


def _core(
    rng: np.random.Generator, lesion: Lesion, before: Field, rest: Field, share: Field, near_bone: NDArray[np.bool_]
) -> float:
    """Return the HU that blood adds to the `rest`, so that the mean in the mask comes out as drawn."""
    brain_hu = float(np.mean(lesion.site.host.brain_hu[lesion.site.indices]))
    wanted = draw_mean(rng, lesion.kind, brain_hu, _LEAST_OVER_BRAIN[lesion.kind])
    mask = share >= _MASK
    if not mask.any():
        return wanted
    core, weight = wanted, float(np.mean(share[mask]))
    parts = before[mask], rest[mask], share[mask], near_bone[mask]
    for _ in range(2):  # Next to bone nothing gets darker, so the mean does not follow the core exactly.
        core += (wanted - float(np.mean(_blooded(*parts, core)))) / weight
        core = float(np.clip(core, brain_hu + _CORE_OVER_BRAIN, _CORE_HU[lesion.kind]))
    return core


def _softened(share: Field, room: NDArray[np.bool_]) -> Field:
    """Blur a mask as the scanner would, without losing any of it into the bone."""
    sigmas = (0.0, _BLUR_PX, _BLUR_PX)
    kept = room.astype(np.float32)
    weight = ndimage.gaussian_filter(kept, sigmas, truncate=3.0)
    blurred = ndimage.gaussian_filter(share * kept, sigmas, truncate=3.0)
    return as_field(np.clip(blurred / np.maximum(weight, np.float32(0.05)), 0.0, 1.0) * kept)


def _move(picture: Field, slices: NDArray[np.int64], push: Push) -> None:
    """Move brain as `push` says. Bone stays, and its bright rim is taken off first, or it would come along."""
    site = push.site
    room = site.has(INSIDE)
    depth = site.depth()
    for k, i in enumerate(np.searchsorted(slices, site.indices)):
        before = picture[i][site.window]
        soft = room[k] & is_soft(before)
        moved = soft & (np.hypot(push.rows[k], push.columns[k]) > LEAST_MOVE_PX)
        if moved.any():
            source = _without_rim(before, soft, depth[k], site)
            places = np.stack(np.nonzero(moved)).astype(np.float32)
            places += np.stack([push.rows[k][moved], push.columns[k][moved]])
            before[moved] = ndimage.map_coordinates(source, places, order=3, mode="nearest", output=np.float32)


def _without_rim(before: Field, soft: NDArray[np.bool_], depth: Field, site: Site) -> Field:
    step = site.host.pixel_mm
    rim = np.float32(1.0) - smoothstep(depth, 2.0, 4.0)
    mean = local_mean(before, soft, _MEAN_MM / step)
    brain = local_mean(before, soft & (depth > 3.5), 4.0 / step)
    return as_field(np.where(soft, before - rim * np.maximum(mean - brain, 0.0), brain))
