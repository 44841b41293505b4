"""Five kinds of bleeding painted into a procedural head.

Sizes are log-normal and grey values normal with the figures published for 192 real exams (medians after
blurring 39-56 HU): real bleeds are dim and mostly small.
"""

from __future__ import annotations

import numpy as np

from appliance.phantoms.bleed import Bleed
from appliance.phantoms.blood_age import aged
from appliance.phantoms.fields import Field, as_field, occupancy, paint, smooth_noise, smoothstep
from appliance.phantoms.head import Head
from appliance.phantoms.mass_effect import pressed
from appliance.phantoms.wall import wall_point

__all__ = ["KINDS", "Bleed", "add_bleeds", "draw_bleed", "draw_bleeds"]

KINDS = ("edh", "iph", "ivh", "sah", "sdh")

# Mean and deviation of ln mL of a kind's total in an exam (192 published exams).
_LN_ML = {"edh": (1.72, 1.46), "iph": (2.04, 1.72), "ivh": (0.82, 1.76), "sah": (0.92, 1.65), "sdh": (1.95, 1.52)}
_CORE_HU = {"edh": (61, 6), "iph": (58, 6), "ivh": (50, 7), "sah": (58, 7), "sdh": (57, 7)}


def draw_bleeds(rng: np.random.Generator) -> tuple[Bleed, ...]:
    """Draw what a bleeding exam shows: from one kind to four, as often together as in the published exams.

    Of 192 exams 50 show one kind, 62 two, 63 three, 17 more; EDH, which is rare, is drawn more often.
    """
    count = int(rng.choice([1, 2, 3, 4], p=[0.26, 0.32, 0.33, 0.09]))
    often = np.array([0.18, 0.26, 0.17, 0.20, 0.19])  # in the order of KINDS
    kinds = rng.choice(len(KINDS), count, replace=False, p=often)
    return tuple(draw_bleed(rng, KINDS[k]) for k in sorted(kinds))


def draw_bleed(rng: np.random.Generator, kind: str) -> Bleed:
    """Draw one bleed of a kind."""
    mean, deviation = _LN_ML[kind]
    hu_mean, hu_deviation = _CORE_HU[kind]
    return Bleed(
        kind=kind,
        volume_ml=float(np.clip(np.exp(rng.normal(mean, deviation)), 0.1, 90.0)),
        core_hu=float(np.clip(rng.normal(hu_mean, hu_deviation), 42.0, 76.0)),
    )


def add_bleeds(rng: np.random.Generator, head: Head, bleeds: tuple[Bleed, ...]) -> tuple[Field, dict[int, Field]]:
    """Return the head's HU with the bleeds painted in, and the share of each kind (by index in KINDS).

    Brain moves aside where a bleed presses on it; the head itself, which is the twin without the bleed, does not.
    """
    hu = head.hu.copy() if bleeds else head.hu
    shares: dict[int, Field] = {}
    place = {"edh": _edh, "iph": _iph, "ivh": _ivh, "sah": _sah, "sdh": _sdh}
    for bleed in bleeds:
        share, blood = place[bleed.kind](rng, head, bleed, hu)
        paint(hu, share, aged(rng, head, bleed, share, blood))
        kind = KINDS.index(bleed.kind)
        shares[kind] = np.maximum(shares[kind], share) if kind in shares else share
    pressing = [bleed for bleed in bleeds if bleed.press]
    if pressing:
        clear = np.prod([1.0 - shares[KINDS.index(kind)] for kind in {bleed.kind for bleed in pressing}], axis=0)
        clot = as_field(1.0 - clear)
        press = max(bleed.press for bleed in pressing)
        hu = pressed(head, hu, clot, press, float(clot.sum()) * _voxel_ml(head))
    return hu, shares


def _voxel_ml(head: Head) -> float:
    return head.scan.step_mm**2 * head.scan.slab_mm / 1000.0


def _level(field: Field, allowed: Field, volume_ml: float, voxel_ml: float) -> float:
    """Return the cut of `field` above which `allowed` holds the wanted volume."""
    rough = (slice(None), slice(None, None, 2), slice(None, None, 2))
    values, weights = field[rough].ravel(), allowed[rough].ravel()
    keep = weights > 0.02
    values, weights = values[keep], weights[keep]
    if values.size == 0:
        return np.inf
    order = np.argsort(-values)
    total = np.cumsum(weights[order]) * voxel_ml * 4.0
    return float(values[order[min(int(np.searchsorted(total, volume_ml)), values.size - 1)]])


def _texture(rng: np.random.Generator, head: Head, core_hu: float) -> Field:
    swirl = _noise(rng, head, float(rng.uniform(8, 24)))
    return np.float32(core_hu) + np.float32(rng.uniform(1.0, 5.0)) * swirl


def _scanned_span(head: Head) -> tuple[float, float]:
    return float(head.scan.planes_mm[0]), float(head.scan.planes_mm[-1])


def _noise(rng: np.random.Generator, head: Head, wavelength_mm: float) -> Field:
    return smooth_noise(rng, head.scan.shape, head.scan.extent_mm, wavelength_mm)


def _iph(rng: np.random.Generator, head: Head, bleed: Bleed, hu: Field) -> tuple[Field, Field | float]:
    x, y, z = head.scan.points()
    side = rng.choice([-1.0, 1.0])
    where = rng.random()
    if where < 0.45:
        centre = (side * rng.uniform(12, 30), rng.uniform(-12, 18), rng.uniform(-4, 14))
    elif where < 0.8:
        centre = (side * rng.uniform(18, 46), rng.uniform(-55, 58), rng.uniform(2, 50))
    elif where < 0.9:
        centre = (side * rng.uniform(8, 30), rng.uniform(38, 62), rng.uniform(-45, -28))
    else:
        centre = (side * rng.uniform(15, 40), rng.uniform(-62, -30), rng.uniform(-15, 15))
    radius = (bleed.volume_ml * 1000.0 * 0.75 / np.pi) ** (1 / 3)
    stretch = np.exp(rng.normal(0, 0.25, 3))
    stretch /= np.prod(stretch) ** (1 / 3)
    gap = ((x - np.float32(centre[0])) / np.float32(stretch[0])) ** 2
    gap += ((y - np.float32(centre[1])) / np.float32(stretch[1])) ** 2
    gap += ((z - np.float32(centre[2])) / np.float32(stretch[2])) ** 2
    far = -np.sqrt(gap)
    lumps = _noise(rng, head, float(max(8.0, radius * rng.uniform(0.9, 2.0))))
    far += lumps * np.float32(radius * rng.uniform(0.08, 0.3))
    brain = smoothstep(head.inside_mm, 2.0, 4.0) * (1.0 - 0.7 * head.fluid) * (1.0 - 0.6 * head.ventricle)
    cut = _level(far, brain, bleed.volume_ml, _voxel_ml(head))
    depth = far - np.float32(cut)
    if rng.random() < 0.75:
        width = rng.uniform(1.5, 7.0)
        hu -= np.float32(rng.uniform(4, 12)) * smoothstep(depth, -width, -0.3) * brain
    return occupancy(depth, 1.2) * brain, _texture(rng, head, bleed.core_hu)


def _ivh(rng: np.random.Generator, head: Head, bleed: Bleed, hu: Field) -> tuple[Field, Field | float]:
    x, y, z = head.scan.points()
    low = y + np.float32(rng.normal(0, 0.08)) * x + np.float32(rng.normal(0, 0.05)) * z
    if rng.random() < 0.3:
        low = low + np.float32(60.0) * np.sign(x) * np.float32(rng.choice([-1, 1]))
    cut = _level(low, head.ventricle, bleed.volume_ml, _voxel_ml(head))
    share = head.ventricle * occupancy(low - np.float32(cut), 1.5) * np.float32(rng.uniform(0.75, 1.0))
    return share, bleed.core_hu


def _sah(rng: np.random.Generator, head: Head, bleed: Bleed, hu: Field) -> tuple[Field, Field | float]:
    x, y, z = head.scan.points()
    patchy = _noise(rng, head, 26.0)
    seeds = []
    for _ in range(int(rng.integers(1, 4))):
        where = rng.random()
        side = rng.choice([-1.0, 1.0])
        if where < 0.4:
            seeds.append((side * rng.uniform(0, 10), rng.uniform(-16, 14), rng.uniform(-30, -16)))
        elif where < 0.62:
            seeds.append((side * rng.uniform(36, 52), rng.uniform(-20, 20), rng.uniform(-8, 8)))
        elif where < 0.72:
            seeds.append((0.0, rng.uniform(-66, -30), rng.uniform(0, 40)))
        else:
            angle = rng.uniform(0, 2 * np.pi)
            up = rng.uniform(5, 50)
            out = np.sqrt(max(1 - (up / 78) ** 2, 0.05))
            seeds.append((62 * out * np.cos(angle), 78 * out * np.sin(angle), up))
    near: Field | None = None
    for sx, sy, sz in seeds:
        gap = (x - np.float32(sx)) ** 2 + (y - np.float32(sy)) ** 2 + np.float32(1.3) * (z - np.float32(sz)) ** 2
        gap = -np.sqrt(gap)
        near = gap if near is None else np.maximum(near, gap)
    assert near is not None
    near = near + np.float32(7.0) * patchy
    # Blood widens the space that it fills, as clot does.
    room = smoothstep(head.fluid, 0.08, 0.5) * smoothstep(head.inside_mm, 0.6, 1.6)
    cut = _level(near, room, bleed.volume_ml, _voxel_ml(head))
    share = room * smoothstep(near - np.float32(cut), -3.0, 3.0) * np.float32(rng.uniform(0.7, 1.0))
    return share, bleed.core_hu


def _edge_point(rng: np.random.Generator, head: Head, kind: str) -> tuple[float, float, float]:
    """Return a point on the vault in the head frame, mostly at the side."""
    size = head.plan.size
    low, high = _scanned_span(head)
    up = rng.uniform(max(low + 8, -18), min(high - 10, 62)) if rng.random() < 0.9 else min(high - 6, 66)
    angle = rng.choice([-1, 1]) * rng.normal(np.pi / 2, 0.55 if kind == "edh" else 0.5)
    out = np.sqrt(max(1.0 - (max(up, 0) / size[2]) ** 2, 0.02))
    point = float(size[0] * out * np.sin(angle)), float(-size[1] * out * np.cos(angle)), float(up)
    return point if head.round_vault else wall_point(head, point)


def _edh(rng: np.random.Generator, head: Head, bleed: Bleed, hu: Field) -> tuple[Field, Field | float]:
    x, y, z = head.scan.points()
    px, py, pz = _edge_point(rng, head, "edh")
    away = np.sqrt((x - np.float32(px)) ** 2 + (y - np.float32(py)) ** 2 + (z - np.float32(pz)) ** 2)
    ratio = rng.uniform(0.18, 0.4)
    # Volume of a cap of chord c and depth r c is about pi/8 r c^3.
    chord = float(np.clip((bleed.volume_ml * 1000.0 * 8 / (np.pi * ratio)) ** (1 / 3), 14, 95))
    lens = np.float32(ratio * chord) * (1.0 - (away / np.float32(chord / 2)) ** 2)
    lens += np.float32(0.6) * head.rough
    share = occupancy(lens - head.vault_mm, 1.2) * occupancy(head.inside_mm, 1.0) * (lens > 0)
    return share.astype(np.float32), _texture(rng, head, bleed.core_hu)


def _sdh(rng: np.random.Generator, head: Head, bleed: Bleed, hu: Field) -> tuple[Field, Field | float]:
    x, y, z = head.scan.points()
    within = occupancy(head.inside_mm - np.float32(0.5 * head.plan.dura_mm), 1.0)
    kind = rng.random() if bleed.volume_ml < 6.0 else 1.0
    if kind < 0.3:
        thick = float(np.clip(bleed.volume_ml * 0.5 + 1.5, 2.0, 5.5))
        side = np.float32(rng.choice([-1.0, 1.0]))
        at_y, at_z = rng.uniform(-55, 55), rng.uniform(22, 55)
        reach = 1.0 - np.hypot(
            (y - np.float32(at_y)) / np.float32(rng.uniform(18, 45)),
            (z - np.float32(at_z)) / np.float32(rng.uniform(12, 30)),
        )
        layer = np.float32(thick) * smoothstep(reach, 0.0, 0.4) - np.abs(x * side - 0.5 * thick) * 2.0
        share = occupancy(0.5 * layer, 1.0) * within * smoothstep(reach, 0.0, 0.1) * smoothstep(head.tent_mm, -1, 1)
        return share, bleed.core_hu
    if kind < 0.42:
        thick = float(np.clip(bleed.volume_ml * 0.4 + 1.5, 2.0, 5.0))
        side = np.float32(rng.choice([-1.0, 1.0]))
        layer = np.minimum(head.tent_mm, np.float32(thick) - head.tent_mm)
        share = occupancy(layer, 1.0) * within * smoothstep(y, 14, 20) * smoothstep(x * side, 6, 10)
        return share, bleed.core_hu
    px, py, pz = _edge_point(rng, head, "sdh")
    thick = float(np.clip(1.7 * bleed.volume_ml**0.5 * rng.uniform(0.75, 1.3), 1.8, 16.0))
    # Area that gives the wanted volume at this thickness (a taper leaves about .55 of it).
    radius = float(np.clip(np.sqrt(bleed.volume_ml * 1000.0 / (0.55 * thick * np.pi)), 12.0, 85.0))
    away = np.sqrt((x - np.float32(px)) ** 2 + (y - np.float32(py)) ** 2 + np.float32(1.6) * (z - np.float32(pz)) ** 2)
    layer = np.float32(thick) * smoothstep(1.0 - away / np.float32(radius * 1.25), 0.0, 0.55)
    layer += np.float32(rng.uniform(0.2, 0.7)) * head.rough * (layer > 0.5)
    same_side = occupancy(x * np.float32(np.sign(px) or 1.0) - 1.5, 1.5)
    share = occupancy(layer - head.vault_mm, 1.2) * within * same_side * (layer > 0.4) * smoothstep(head.tent_mm, -4, 0)
    return share.astype(np.float32), _texture(rng, head, bleed.core_hu)
