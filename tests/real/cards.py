"""A graphics card as triage sees it, made of the processor: a test says when it starts, serves, breaks and is refused."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from appliance.core.engine_duty import FELL_BACK, OnRefused
from appliance.core.errors import Fault
from appliance.inference.backend import Answer, Backend, BackendLost
from appliance.inference.loading import LoadedEngine
from appliance.triage.fast_road import Build, FastRoad

NAME = "card 1"


@dataclass
class Wrong:
    """Answers as another backend does, a little off."""

    within: Backend
    max_batch: int = 1

    @property
    def name(self) -> str:
        return self.within.name

    def run(self, image: NDArray[np.float32]) -> Answer:
        right = self.within.run(image)
        return replace(right, logits=right.logits + np.float32(0.1))

    def run_many(self, images: NDArray[np.float32]) -> list[Answer]:
        return [self.run(image[None]) for image in images]

    def close(self) -> None:
        self.within.close()


@dataclass
class Card:
    """The backend, and its start. `sizes`: of the batches that it was asked for, its tests left out."""

    within: Backend
    max_batch: int = 8
    name: str = NAME
    is_up: bool = True  # else it stays on its way up
    refuses: Exception | None = None  # what its next start comes to
    breaks: Fault | None = None  # what its next answer comes to
    breaks_after: int = 0  # pictures that it answers before that
    knows: set[int] | None = None  # the only pictures that it answers for, by their hash
    is_dead: bool = False  # its process is gone, and nobody has asked it yet
    starts: int = 0
    closed: int = 0
    sizes: list[int] = field(default_factory=list)
    answered: set[int] = field(default_factory=set)

    def poll(self, now_s: float) -> "Card | None":
        if self.refuses is not None:
            raise self.refuses
        if self.is_dead:
            raise BackendLost(FELL_BACK, "it does not come up")
        return self if self.is_up else None

    def check(self, now_s: float) -> None:
        if self.is_dead:
            raise BackendLost(FELL_BACK, "its process is gone")

    def run(self, image: NDArray[np.float32]) -> Answer:
        return self.run_many(image)[0]

    def run_many(self, images: NDArray[np.float32]) -> list[Answer]:
        assert 1 <= len(images) <= self.max_batch
        self.breaks_after = max(0, self.breaks_after - len(images))
        if self.breaks is not None and self.breaks_after == 0:
            raise self.breaks
        asked = {hash(image.tobytes()) for image in images}
        if self.knows is not None and not asked <= self.knows:
            raise Fault("engine-fault", "it answered with no number")
        self.answered |= asked
        self.sizes.append(len(images))
        return [self.within.run(image[None]) for image in images]

    def close(self) -> None:
        self.closed += 1

    def road(
        self,
        engine: LoadedEngine,
        *,
        on_refused: OnRefused = OnRefused.FALLBACK,
        build: Callable[[float], Build] | None = None,
    ) -> FastRoad:
        """How triage brings it up."""

        def start(now_s: float) -> "Card":
            self.starts += 1
            return self

        def no_build(now_s: float) -> Build:
            raise AssertionError("nobody asked for a plan")

        return FastRoad(start=start, golden=engine.golden, on_refused=on_refused, build=build or no_build)
