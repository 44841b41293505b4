"""The golden test of a backend on duty: each picture once an hour, spread over it, so that no slice waits for a test."""

from typing import Final

from appliance.inference.backend import Backend
from appliance.inference.golden import GoldenTest

EVERY_S: Final = 3600.0
PATIENCE_S: Final = 300.0
"""So long a picture waits for a moment in which nothing else does."""


class SelfTest:
    """One backend's. `now_s`: when it passed the whole test, or begins to."""

    def __init__(self, golden: GoldenTest, now_s: float) -> None:
        self._golden = golden
        self._pause_s = EVERY_S / len(golden)
        self._due_s = now_s + self._pause_s
        self._next = 0
        self._largest = 0.0

    @property
    def allowed_logit(self) -> float:
        """How far an answer may be off."""
        return self._golden.allowed_logit

    def is_due(self, now_s: float, *, idle: bool) -> bool:
        """Whether the next picture should be held now."""
        return now_s >= self._due_s + (0.0 if idle else PATIENCE_S)

    def hold_next(self, backend: Backend, now_s: float) -> float | None:
        """Holds the next picture; after the last of a round the largest distance of it. Errors as `GoldenTest.hold`."""
        self._due_s = now_s + self._pause_s
        self._largest = max(self._largest, self._golden.hold(self._next, backend))
        self._next = (self._next + 1) % len(self._golden)
        if self._next:
            return None
        largest, self._largest = self._largest, 0.0
        return largest
