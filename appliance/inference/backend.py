"""The port that every backend serves: one prepared picture in, the engine's answer out."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Logits float32 [6], embedding float32 [n], heat float32 [6, h, w] (logits of the map). Copies: the caller's own."""

    logits: NDArray[np.float32]
    embedding: NDArray[np.float32]
    heat: NDArray[np.float32]


class Backend(Protocol):
    """Runs one engine. Belongs to one thread."""

    @property
    def name(self) -> str:
        """Backend and version, as it stands in each reading."""
        ...

    def run(self, image: NDArray[np.float32]) -> Answer:
        """Answers for float32 [1, channels, size, size]. Fault `engine-fault` if it cannot."""
        ...

    def close(self) -> None:
        """Gives its memory back."""
        ...
