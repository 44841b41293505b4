"""When a message is sent again, and when a channel counts as dead."""

import random
from dataclasses import replace

import pytest

from appliance.core.delivery import (
    DEAD_AFTER_S,
    LONGEST_OBEYED_S,
    LONGEST_WAIT_S,
    Answer,
    Fate,
    Health,
    Next,
    next_attempt,
)

S = 10**9


def after(answer: Answer, *, attempts: int = 1, sounds: bool = True, draw: float = 0.5) -> Next:
    return next_attempt(answer, attempts=attempts, sounds=sounds, now_ns=1_000 * S, random=lambda: draw)


def wait_s(answer: Answer, *, attempts: int = 1, draw: float = 0.5) -> float:
    due_ns = after(answer, attempts=attempts, draw=draw).due_ns
    assert due_ns is not None
    return (due_ns - 1_000 * S) / S


NO = Answer(taken=False, error="nothing came")
BUSY = Answer(taken=False, status=503, error="HTTP 503")
REFUSED = Answer(taken=False, status=401, error="HTTP 401", lasting=True)
UNSURE = Answer(taken=False, error="Overdue", unsure=True)
YES = Answer(taken=True, status=204)


def test_taken_is_done() -> None:
    assert after(YES) == Next(fate=Fate.DONE)


@pytest.mark.parametrize("answer", [NO, BUSY, REFUSED, UNSURE])
def test_nothing_is_given_up_while_the_alert_sounds(answer: Answer) -> None:
    assert after(answer, attempts=10_000).fate is Fate.RETRY


@pytest.mark.parametrize("answer", [REFUSED, UNSURE])
@pytest.mark.parametrize("attempts", [1, 2, 1000])
def test_what_will_not_get_better_and_what_may_be_known_is_tried_again_each_minute(
    answer: Answer, attempts: int
) -> None:
    assert wait_s(answer, attempts=attempts, draw=0.0) == LONGEST_WAIT_S


def test_the_bound_doubles_up_to_a_minute_and_the_whole_of_it_is_drawn_from() -> None:
    assert [wait_s(NO, attempts=n, draw=1.0) for n in (1, 2, 3, 4)] == [1.0, 2.0, 4.0, 8.0]
    assert wait_s(NO, attempts=50, draw=1.0) == LONGEST_WAIT_S
    assert wait_s(NO, attempts=50, draw=0.0) == 0.0
    draws = random.Random(7)
    waits = [wait_s(NO, attempts=4, draw=draws.random()) for _ in range(200)]
    assert min(waits) < 1.0
    assert max(waits) > 7.0


def test_retry_after_is_obeyed_up_to_ten_minutes() -> None:
    assert wait_s(replace(BUSY, retry_after_s=30.0)) == 30.0
    assert wait_s(replace(BUSY, retry_after_s=1e9)) == LONGEST_OBEYED_S
    assert wait_s(replace(BUSY, retry_after_s=-5.0)) == 0.5


@pytest.mark.parametrize("answer", [NO, BUSY, REFUSED, UNSURE])
def test_a_dead_letter_is_only_what_sounds_no_more(answer: Answer) -> None:
    assert after(answer, sounds=False) == Next(fate=Fate.DEAD)
    assert after(YES, sounds=False) == Next(fate=Fate.DONE)


def test_a_channel_is_dead_that_has_failed_for_long_or_needs_somebody() -> None:
    new = Health()
    assert (new.failing, new.is_dead(1e9)) == (False, False)
    once = new.after(BUSY, began_s=100.0, began_ns=7)
    assert (once.failing, once.is_dead(100.0 + DEAD_AFTER_S - 0.1), once.is_dead(100.0 + DEAD_AFTER_S)) == (
        True, False, True,
    )  # fmt: skip
    twice = once.after(NO, began_s=103.0, began_ns=8)
    assert twice.is_dead(100.0 + DEAD_AFTER_S), "since the first attempt that failed"
    assert (twice.failing_since_s, twice.failing_since_ns) == (100.0, 7)
    refused = new.after(REFUSED, began_s=100.0, began_ns=7)
    assert refused.is_dead(100.0)
    assert refused.after(YES, began_s=200.0, began_ns=9) == Health()
