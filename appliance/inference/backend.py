"""The port that every backend serves: prepared pictures in, the engine's answers out."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from appliance.core.errors import Fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Logits float32 [6], embedding float32 [n], heat float32 [6, h, w] (logits of the map). Copies: the caller's own."""

    logits: NDArray[np.float32]
    embedding: NDArray[np.float32]
    heat: NDArray[np.float32]


class BackendLost(Fault):
    """The backend answers no more, and will not again: close it.

    It has crashed, hung, or answered with no number. `backend-fell-back`, or `gpu-lost` where the card itself is gone.
    """


class Backend(Protocol):
    """Runs one engine. Belongs to one thread."""

    @property
    def name(self) -> str:
        """Backend and version, as it stands in each reading."""
        ...

    @property
    def max_batch(self) -> int:
        """How many pictures it takes at once."""
        ...

    def run(self, image: NDArray[np.float32]) -> Answer:
        """Answers for float32 [1, channels, size, size]. Fault `engine-fault` if it cannot, BackendLost if it never will."""
        ...

    def run_many(self, images: NDArray[np.float32]) -> list[Answer]:
        """Answers for float32 [n, channels, size, size], n up to `max_batch`, in their order. Faults as `run`."""
        ...

    def close(self) -> None:
        """Gives its memory back."""
        ...


class ProcessBackend(Backend, Protocol):
    """A backend in a process of its own, which may end at any moment."""

    def check(self, now_s: float) -> None:
        """BackendLost if its process has ended. Does not wait."""
        ...


class Starting(Protocol):
    """A backend on its way up in a process of its own. Nothing here waits."""

    def poll(self, now_s: float) -> ProcessBackend | None:
        """The backend once it can be asked, None until then.

        BackendLost if it does not come up, `inference.plan_files.PlanRefused` if its plan may not serve.
        """
        ...

    def close(self) -> None:
        """Ends the process, unless the backend has been handed out. Closing twice is no fault."""
        ...
