"""Pictures and answers between the child of the graphics card and its parent: the shared memory, and the self-test.

Runs on Python 3.10; the standard library and numpy alone.
"""

import mmap
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where pictures and answers stand in the shared memory: float32, one array after the other.

    `image` [max_batch, channels, size, size]; `outputs`: of each answer its shape, [max_batch, ...].
    """

    image: tuple[int, ...]
    outputs: Mapping[str, tuple[int, ...]]

    @property
    def size_bytes(self) -> int:
        """Of the whole."""
        return 4 * sum(map(prod, (self.image, *self.outputs.values())))

    def views(self, memory: mmap.mmap) -> tuple[NDArray[np.float32], dict[str, NDArray[np.float32]]]:
        """The pictures and the answers as arrays over the memory."""
        image, *answers = _arrays(memory, [self.image, *self.outputs.values()])
        return image, dict(zip(self.outputs, answers, strict=True))


def layout_of(spec: Mapping[str, Any]) -> Layout:
    """The layout for an engine as `tensorrt_engine.TensorRtEngine` takes its `spec`."""
    batch = spec["max_batch"]
    return Layout(
        image=(batch, *spec["input"]["shape"]),
        outputs={name: (batch, *output["shape"]) for name, output in spec["outputs"].items()},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenAnswers:
    """Test pictures float32 [n, channels, size, size], prepared, and their answers: logits and mean of each map [n, labels].

    A map is held by its mean a cell, so that the one tolerance, in logits, means the same for both.
    """

    images: NDArray[np.float32]
    logits: NDArray[np.float32]
    heat_means: NDArray[np.float32]
    tolerance_logit: float

    def packed(self) -> tuple[dict[str, Any], bytes]:
        """Head and body of a frame."""
        parts = (self.images, self.logits, self.heat_means)
        head = {"shapes": [part.shape for part in parts], "tolerance_logit": self.tolerance_logit}
        return head, b"".join(np.ascontiguousarray(part, np.float32).tobytes() for part in parts)

    @classmethod
    def unpacked(cls, head: Mapping[str, Any], body: bytes) -> "GoldenAnswers":
        """Out of head and body."""
        images, logits, heat_means = _arrays(body, [tuple(shape) for shape in head["shapes"]])
        return cls(images=images, logits=logits, heat_means=heat_means, tolerance_logit=head["tolerance_logit"])

    def distance(self, chosen: NDArray[np.intp], found: Mapping[str, NDArray[np.float32]]) -> float:
        """The largest distance of the answers to these pictures from the golden ones, in logits. Infinite for no number."""
        off = (
            found["logits"] - self.logits[chosen],
            found["heat"].mean(axis=(2, 3), dtype=np.float64) - self.heat_means[chosen],
        )
        worst = max(float(np.nan_to_num(np.abs(one), nan=np.inf).max()) for one in off)
        return worst if np.isfinite(found["embedding"]).all() else float("inf")


def _arrays(memory: mmap.mmap | bytes, shapes: list[tuple[int, ...]]) -> list[NDArray[np.float32]]:
    at = 0
    arrays: list[NDArray[np.float32]] = []
    for shape in shapes:
        arrays.append(np.frombuffer(memory, np.float32, prod(shape), at).reshape(shape))
        at += 4 * prod(shape)
    return arrays
