"""When a message is sent again, and when a channel counts as dead. Randomness and time come in."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

FIRST_WAIT_S: Final = 1.0
LONGEST_WAIT_S: Final = 60.0
LONGEST_OBEYED_S: Final = 600.0
"""A gateway may ask for patience, not for silence: a longer Retry-After is cut to this."""

DEAD_AFTER_S: Final = 5.0
"""A channel that has failed for this long is passed over. A shorter trouble is what attempts are repeated for."""


class Fate(StrEnum):
    """What becomes of a message after an attempt."""

    DONE = "DONE"
    RETRY = "RETRY"
    DEAD = "DEAD"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What an attempt brought.

    `status`: the number that the channel answers with (HTTP or SMTP status, exit code); None where no answer came.
    `lasting`: no attempt can succeed before somebody changes something. `unsure`: people may have been told all the
    same. `error`: in a word what went wrong, without a patient, an address or a secret; beside `taken`: for whom.
    """

    taken: bool
    status: int | None = None
    error: str = ""
    lasting: bool = False
    unsure: bool = False
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Next:
    """The fate, and for RETRY when the next attempt is due."""

    fate: Fate
    due_ns: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What the answers of a channel so far come to. `failing_since_s`: when the first attempt began of those that have
    failed since a message was last taken, on the monotonic clock; None: the last answer was yes, or there was none."""

    failing_since_s: float | None = None
    failing_since_ns: int | None = None
    lasting: bool = False

    @property
    def failing(self) -> bool:
        """The last answer was no, or none came."""
        return self.failing_since_s is not None

    def is_dead(self, monotonic_s: float) -> bool:
        """Failing for longer than repeated attempts should take, or until somebody changes something."""
        if self.failing_since_s is None:
            return False
        return self.lasting or monotonic_s - self.failing_since_s >= DEAD_AFTER_S

    def after(self, answer: Answer, *, began_s: float, began_ns: int) -> "Health":
        """The health after one more answer, to an attempt that began then."""
        if answer.taken:
            return Health()
        if self.failing_since_s is None:
            return Health(failing_since_s=began_s, failing_since_ns=began_ns, lasting=answer.lasting)
        return Health(
            failing_since_s=self.failing_since_s, failing_since_ns=self.failing_since_ns, lasting=answer.lasting
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelStanding:
    """What the ledger knows of a channel."""

    name: str
    failing: bool  # the last attempt was not taken; False where none was ever made
    taken_ns: int | None  # when it last took a message
    due: int  # messages that wait for their next attempt
    dead: int  # dead letters
    last_error: str


def next_attempt(
    answer: Answer,
    *,
    attempts: int,
    sounds: bool,
    now_ns: int,
    random: Callable[[], float],
) -> Next:
    """What becomes of a message after its `attempts`-th attempt. `random` gives numbers in [0, 1).

    What was taken is done. What failed is a dead letter only where its alert no longer `sounds`: a channel may come back
    after hours, a refusal end when somebody mends a setting. What may get better by itself is tried again: the wait is
    drawn evenly between nothing and a bound that doubles (full jitter), never shorter than what Retry-After asks. What
    will not, and what may have been told all the same, is tried again each LONGEST_WAIT_S.
    """
    if answer.taken:
        return Next(fate=Fate.DONE)
    if not sounds:
        return Next(fate=Fate.DEAD)
    bound_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(attempts - 1, 16))
    asked_s = min(max(answer.retry_after_s or 0.0, 0.0), LONGEST_OBEYED_S)
    slow = answer.lasting or answer.unsure
    wait_s = max(LONGEST_WAIT_S if slow else bound_s * random(), asked_s)
    return Next(fate=Fate.RETRY, due_ns=now_ns + round(wait_s * 1e9))
