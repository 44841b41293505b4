"""From exams to slices of the cache: cropped by the product's own rule, what bleeds laid on the cells of the heat map."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from appliance.core.slices import HEAT_SIZE
from appliance.core.words import KINDS, LABELS
from appliance.exams.head_ct.anatomy import BONE_HU, Anatomy, find_anatomy
from appliance.phantoms.exam import PhantomExam
from appliance.phantoms.pasting.paste import Pasted
from appliance.reading.prepare import head_crop
from appliance.training.cache import UNKNOWN, WHOLE, Part
from appliance.training.picture import INPUT
from appliance.training.sources.exam import SourceExam

RING = 1.4
"""People draw boxes roughly: about the ellipse in a box, up to so many times its size, nobody knows."""

MOSTLY = 0.75
"""The least share of a cell inside the ellipse and the skull that makes it blood: less is at the edge, or half bone."""

HEAD_MM = 60.0
"""The least length of a skull for a slice to be of use: less is the very vertex, a jaw alone, or no head."""

_CELL = INPUT.size // HEAT_SIZE


def source_slices(exam: SourceExam, patient: int, *, cut_boxes: bool = True) -> Part:
    """Every slice of an exam of a person. What bleeds is known as well as masks, else boxes, else the label say it.

    `cut_boxes`: to the inside of the skull.
    """
    hu, cells, use = [], [], []
    for k in range(exam.labels.shape[0]):
        anatomy = find_anatomy(exam.hu[k], exam.pixel_mm)
        hu.append(_whole(head_crop(exam.hu[k], exam.pixel_mm, anatomy, INPUT)))
        cells.append(_source_cells(exam, k, anatomy, cut_boxes=cut_boxes))
        use.append(anatomy.skull_length_mm >= HEAD_MM)
    count = len(hu)
    return Part(
        hu=np.stack(hu),
        cells=np.stack(cells),
        labels=exam.labels,
        twin=np.arange(count),
        use=np.array(use),
        patient=np.full(count, patient),
    )


def phantom_slices(exam: PhantomExam) -> Part:
    """Every clean slice of a head, then every slice that shows blood, each with its clean one as its twin."""
    pixel_mm = (exam.pixel_mm, exam.pixel_mm)
    shown = np.flatnonzero((exam.labels[:, 0] == 1) | exam.faint)
    covers = ((exam.lesions[shown, ..., None] >> np.arange(len(KINDS))) & 1).astype(np.uint8) * WHOLE
    return _with_twins(
        clean=exam.clean_hu,
        bled=exam.hu[shown],
        covers=covers,
        labels=exam.labels[shown],
        faint=exam.faint[shown],
        twins=shown,
        pixel_mm=pixel_mm,
        patient=exam.seed,
    )


def pasted_slices(pasted: Pasted, pixel_mm: float, patient: int) -> Part:
    """The clean twins of the slices of a pasting in which a bleed is seen, then those slices."""
    seen = np.flatnonzero(pasted.labels[:, 0] == 1)
    return _with_twins(
        clean=pasted.clean[seen],
        bled=pasted.hu[seen],
        covers=pasted.covers[seen],
        labels=pasted.labels[seen],
        faint=pasted.faint[seen],
        twins=np.arange(seen.size),
        pixel_mm=(pixel_mm, pixel_mm),
        patient=patient,
    )


def _with_twins(
    *,
    clean: NDArray[np.int16],
    bled: NDArray[np.int16],
    covers: NDArray[np.uint8],
    labels: NDArray[np.int8],
    faint: NDArray[np.bool_],
    twins: NDArray[np.int64],
    pixel_mm: tuple[float, float],
    patient: int,
) -> Part:
    found = [find_anatomy(hu, pixel_mm) for hu in clean]
    count = clean.shape[0]
    # Both are cut out at one place: a shift between twins would tell them apart.
    crops = [_whole(head_crop(hu, pixel_mm, anatomy, INPUT)) for hu, anatomy in zip(clean, found, strict=True)]
    crops += [_whole(head_crop(hu, pixel_mm, found[t], INPUT)) for hu, t in zip(bled, twins, strict=True)]
    shares = [_cover_cells(cover, pixel_mm, found[t]) for cover, t in zip(covers, twins, strict=True)]
    cells = np.zeros((len(crops), HEAT_SIZE, HEAT_SIZE, len(LABELS)), np.uint8)
    if shares:
        cells[count:] = np.stack(shares)
    use = [anatomy.skull_length_mm >= HEAD_MM for anatomy in found]
    return Part(
        hu=np.stack(crops),
        cells=cells,
        labels=np.concatenate([np.zeros((count, len(LABELS)), np.int8), labels]),
        twin=np.concatenate([np.arange(count), twins]),
        use=np.concatenate([use, ~faint & np.array(use)[twins]]),
        patient=np.full(len(crops), patient),
    )


def _source_cells(exam: SourceExam, index: int, anatomy: Anatomy, *, cut_boxes: bool) -> NDArray[np.uint8]:
    """[56, 56, 6] of one slice of a person."""
    cells = np.zeros((HEAT_SIZE, HEAT_SIZE, len(LABELS)), np.uint8)
    if exam.labels[index, 0] == 0:
        return cells
    cells[:] = UNKNOWN
    marked = exam.masks is not None and exam.masks[index].any()
    if exam.masks is not None and marked:
        cells[..., 0] = _shares(exam.masks[index] / np.float32(255), exam.pixel_mm, anatomy)
    elif exam.boxes[index]:
        # Bone and scalp are no blood, however swollen and however rough the box.
        room = _inside(anatomy, exam.hu.shape[1:]) if cut_boxes else np.ones(exam.hu.shape[1:], np.bool_)
        cells[..., 0] = _box_cells(exam, index, anatomy, room)
    return cells


def _box_cells(exam: SourceExam, index: int, anatomy: Anatomy, room: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """[56, 56]: blood in the ellipses that boxes outline, in `room` alone [H, W]; unknown about them and at its edge."""
    rows, columns = np.indices(exam.hu.shape[1:], dtype=np.float32)
    core, ring = np.zeros(rows.shape, np.bool_), np.zeros(rows.shape, np.bool_)
    for x0, y0, x1, y1 in exam.boxes[index]:
        half_x, half_y = max((x1 - x0) / 2, 1.0), max((y1 - y0) / 2, 1.0)
        away = ((columns - (x0 + x1) / 2) / half_x) ** 2 + ((rows - (y0 + y1) / 2) / half_y) ** 2
        core |= away <= 1.0
        ring |= away <= RING**2
    blood = _shares((core & room).astype(np.float32), exam.pixel_mm, anatomy) >= MOSTLY * WHOLE
    near = _shares(room.astype(np.float32), exam.pixel_mm, anatomy) > 0
    doubtful = (_shares(ring.astype(np.float32), exam.pixel_mm, anatomy) > 0) & near
    return np.where(blood, WHOLE, np.where(doubtful, UNKNOWN, 0)).astype(np.uint8)


def _inside(anatomy: Anatomy, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Bool [H, W]: inside the skull, all that it encloses but bone: at the base some lies there like an island."""
    filled = np.asarray(ndimage.binary_fill_holes(anatomy.inside)) & (anatomy.coarse <= BONE_HU)
    rows = np.minimum(np.arange(shape[0]) // anatomy.step[0], filled.shape[0] - 1)
    columns = np.minimum(np.arange(shape[1]) // anatomy.step[1], filled.shape[1] - 1)
    return np.asarray(filled[rows[:, None], columns[None, :]])


def _cover_cells(covers: NDArray[np.uint8], pixel_mm: tuple[float, float], anatomy: Anatomy) -> NDArray[np.uint8]:
    """[56, 56, 6] of covers [H, W, 5]."""
    each = covers.astype(np.float32) / WHOLE
    planes = [each.max(axis=-1), *np.moveaxis(each, -1, 0)]
    return np.stack([_shares(plane, pixel_mm, anatomy) for plane in planes], axis=-1)


def _shares(share: NDArray[np.float32], pixel_mm: tuple[float, float], anatomy: Anatomy) -> NDArray[np.uint8]:
    """[56, 56] 0 to WHOLE of a plane [H, W] of shares 0 to 1, by the rule that crops the slice itself."""
    if not share.any():
        return np.zeros((HEAT_SIZE, HEAT_SIZE), np.uint8)
    crop = np.clip(head_crop(share, pixel_mm, anatomy, INPUT), 0.0, 1.0)  # outside the slice lies air, far below 0
    cells = crop.reshape(HEAT_SIZE, _CELL, HEAT_SIZE, _CELL).mean(axis=(1, 3))
    return np.asarray(np.rint(cells * WHOLE).astype(np.uint8))


def _whole(crop: NDArray[np.float32]) -> NDArray[np.int16]:
    return np.rint(crop).astype(np.int16)
