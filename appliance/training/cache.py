"""Slices on disk, cropped as the engine sees them: written once, whole or not at all, read memory-mapped."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from appliance.core.slices import HEAT_SIZE
from appliance.core.words import LABELS
from appliance.training.picture import INPUT

WHOLE = 250
"""A cell of `cells` that is all blood."""

UNKNOWN = 255
"""A cell of which nobody knows: it is not counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """n slices of one source, or one round of pasting, or a stretch of heads.

    `hu` int16 [n, 224, 224]; `cells` uint8 [n, 56, 56, 6]: share of each cell of the heat map that bleeds, any and five
    kinds, 0 to WHOLE, or UNKNOWN; `labels` int8 [n, 6]: 1, 0, -1 unknown; `twin` int64 [n]: the same slice without its
    bleed, or itself; `use` bool [n]: False for what would teach nothing; `patient` int64 [n]: a number within the source.
    """

    hu: NDArray[np.int16]
    cells: NDArray[np.uint8]
    labels: NDArray[np.int8]
    twin: NDArray[np.int64]
    use: NDArray[np.bool_]
    patient: NDArray[np.int64]

    def __len__(self) -> int:
        return int(self.labels.shape[0])


_SHAPES: Final[dict[str, tuple[Any, tuple[int, ...]]]] = {
    "hu": (np.int16, (INPUT.size, INPUT.size)),
    "cells": (np.uint8, (HEAT_SIZE, HEAT_SIZE, len(LABELS))),
    "labels": (np.int8, (len(LABELS),)),
    "twin": (np.int64, ()),
    "use": (np.bool_, ()),
    "patient": (np.int64, ()),
}


class PartWriter:
    """Writes a part slice by slice; its folder takes its name when it is whole. `twin` counts within what is added."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._making = folder.with_name(folder.name + ".part")
        self._files: dict[str, BinaryIO] = {}
        self._count = 0

    def __enter__(self) -> PartWriter:
        shutil.rmtree(self._making, ignore_errors=True)
        self._making.mkdir(parents=True)
        self._files = {name: (self._making / f"{name}.npy").open("wb") for name in _SHAPES}
        self._head(0)
        return self

    def add(self, slices: Part) -> None:
        """Append slices."""
        for name, (kind, shape) in _SHAPES.items():
            values = getattr(slices, name)
            if values.dtype != kind or values.shape != (len(slices), *shape):
                raise ValueError(f"{name} is {values.dtype} {values.shape}, must be {kind.__name__} [n, *{shape}]")
            if name == "twin":
                values = values + self._count
            self._files[name].write(np.ascontiguousarray(values).tobytes())
        self._count += len(slices)

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        if kind is None:
            self._head(self._count)
        for file in self._files.values():
            file.flush()
            os.fsync(file.fileno())
            file.close()
        if kind is None:
            self._making.rename(self._folder)
        else:
            shutil.rmtree(self._making)

    def _head(self, count: int) -> None:
        """Write the headers for so many slices. NumPy leaves room in a header for its first axis to grow in place."""
        for name, (kind, shape) in _SHAPES.items():
            header = io.BytesIO()
            about = {"descr": npy.dtype_to_descr(np.dtype(kind)), "fortran_order": False, "shape": (count, *shape)}
            npy.write_array_header_1_0(header, about)
            self._files[name].seek(0)
            self._files[name].write(header.getvalue())


def open_part(folder: Path) -> Part:
    """The part of a folder. FileNotFoundError where there is no whole one."""
    return Part(**{one.name: _open(folder / f"{one.name}.npy") for one in fields(Part)})


def _open(path: Path) -> Any:
    # An empty file cannot be mapped; the small arrays are wanted in memory anyway.
    large = path.stem in ("hu", "cells") and path.stat().st_size > 1024
    return np.load(path, mmap_mode="r" if large else None, allow_pickle=False)


class Slices:
    """Parts read as one, by one index. The small arrays are those of Part; `part`: the number of each slice's part."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = tuple(parts)
        counts = [len(part) for part in parts]
        self._starts = np.cumsum([0, *counts])
        none = _EMPTY  # so that no parts at all are a set without slices
        self.labels = np.concatenate([none.labels, *(part.labels for part in parts)])
        self.use = np.concatenate([none.use, *(part.use for part in parts)])
        self.patient = np.concatenate([none.patient, *(part.patient for part in parts)])
        self.part = np.repeat(np.arange(len(parts)), counts)
        self.twin = np.concatenate([none.twin, *(part.twin for part in parts)]) + self._starts[self.part]

    def __len__(self) -> int:
        return int(self._starts[-1])

    def hu(self, indices: NDArray[np.int64]) -> NDArray[np.int16]:
        """int16 [k, 224, 224]."""
        return np.stack([self._parts[p].hu[i] for p, i in self._places(indices)])

    def cells(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """uint8 [k, 56, 56, 6]."""
        return np.stack([self._parts[p].cells[i] for p, i in self._places(indices)])

    def _places(self, indices: NDArray[np.int64]) -> list[tuple[int, int]]:
        parts = np.searchsorted(self._starts, indices, side="right") - 1
        return [(int(p), int(i - self._starts[p])) for p, i in zip(parts, indices, strict=True)]


_EMPTY: Final = Part(**{name: np.zeros((0, *shape), kind) for name, (kind, shape) in _SHAPES.items()})
