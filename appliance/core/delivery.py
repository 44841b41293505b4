"""When a message is sent again. Never given up while its alert sounds. Randomness and time come in."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

FIRST_WAIT_S: Final = 1.0
LONGEST_WAIT_S: Final = 60.0
LONGEST_OBEYED_S: Final = 600.0
"""A gateway may ask for patience, not for silence: a longer Retry-After is cut to this."""

RETRIED_STATUS: Final = frozenset({408, 425, 429})


class Fate(StrEnum):
    """What becomes of a message after an attempt."""

    DONE = "DONE"
    RETRY = "RETRY"
    DEAD = "DEAD"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What an attempt brought. `status` is the HTTP status, None where no answer came (network, timeout)."""

    status: int | None
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Next:
    """The fate, and for RETRY when the next attempt is due."""

    fate: Fate
    due_ns: int | None = None


def next_attempt(
    answer: Answer,
    *,
    attempts: int,
    sounds: bool,
    now_ns: int,
    random: Callable[[], float],
) -> Next:
    """What becomes of a message after its `attempts`-th attempt. `random` gives numbers in [0, 1).

    2xx is done. What failed is a dead letter only where its alert no longer `sounds`: a gateway may come back after
    hours, a refusal (401, 404) end when somebody mends a setting. 408, 425, 429, 5xx and no answer are tried again: the
    wait is drawn evenly between nothing and a bound that doubles (full jitter), never shorter than what Retry-After
    asks. Anything else will not get better by itself and is tried again each LONGEST_WAIT_S.
    """
    if answer.status is not None and 200 <= answer.status < 300:
        return Next(fate=Fate.DONE)
    if not sounds:
        return Next(fate=Fate.DEAD)
    bound_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(attempts - 1, 16))
    asked_s = min(max(answer.retry_after_s or 0.0, 0.0), LONGEST_OBEYED_S)
    wait_s = max(bound_s * random() if may_get_better(answer.status) else LONGEST_WAIT_S, asked_s)
    return Next(fate=Fate.RETRY, due_ns=now_ns + round(wait_s * 1e9))


def may_get_better(status: int | None) -> bool:
    """Whether another attempt can succeed without anybody changing anything."""
    return status is None or status in RETRIED_STATUS or status >= 500
