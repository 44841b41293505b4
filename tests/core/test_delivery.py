"""When a message is sent again."""

import random

import pytest

from appliance.core.delivery import LONGEST_OBEYED_S, LONGEST_WAIT_S, Answer, Fate, Next, next_attempt

S = 10**9


def after(answer: Answer, *, attempts: int = 1, sounds: bool = True, draw: float = 0.5) -> Next:
    return next_attempt(answer, attempts=attempts, sounds=sounds, now_ns=1_000 * S, random=lambda: draw)


def wait_s(answer: Answer, *, attempts: int = 1, draw: float = 0.5) -> float:
    due_ns = after(answer, attempts=attempts, draw=draw).due_ns
    assert due_ns is not None
    return (due_ns - 1_000 * S) / S


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_accepted_is_done(status: int) -> None:
    assert after(Answer(status=status)) == Next(fate=Fate.DONE)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 599, None])
def test_what_may_get_better_is_tried_again(status: int | None) -> None:
    assert after(Answer(status=status)).fate is Fate.RETRY


@pytest.mark.parametrize("status", [301, 302, 400, 401, 403, 404, 405, 409, 410, 413, 422])
@pytest.mark.parametrize("attempts", [1, 2, 1000])
def test_what_will_not_get_better_by_itself_is_tried_again_each_minute(status: int, attempts: int) -> None:
    assert wait_s(Answer(status=status), attempts=attempts, draw=0.0) == LONGEST_WAIT_S


def test_the_bound_doubles_up_to_a_minute_and_the_whole_of_it_is_drawn_from() -> None:
    none = Answer(status=None)
    assert [wait_s(none, attempts=n, draw=1.0) for n in (1, 2, 3, 4)] == [1.0, 2.0, 4.0, 8.0]
    assert wait_s(none, attempts=50, draw=1.0) == LONGEST_WAIT_S
    assert wait_s(none, attempts=50, draw=0.0) == 0.0
    draws = random.Random(7)
    waits = [wait_s(none, attempts=4, draw=draws.random()) for _ in range(200)]
    assert min(waits) < 1.0
    assert max(waits) > 7.0


def test_retry_after_is_obeyed_up_to_ten_minutes() -> None:
    assert wait_s(Answer(status=503, retry_after_s=30.0)) == 30.0
    assert wait_s(Answer(status=503, retry_after_s=1e9)) == LONGEST_OBEYED_S
    assert wait_s(Answer(status=503, retry_after_s=-5.0)) == 0.5


@pytest.mark.parametrize("status", [None, 401, 503])
def test_a_dead_letter_is_only_what_sounds_no_more(status: int | None) -> None:
    assert after(Answer(status=status), attempts=10_000).fate is Fate.RETRY
    assert after(Answer(status=status), sounds=False) == Next(fate=Fate.DEAD)
    assert after(Answer(status=200), sounds=False) == Next(fate=Fate.DONE)
