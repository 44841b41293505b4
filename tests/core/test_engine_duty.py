"""Who reads: every pair of state and event, the pauses between tries, and what follows a refused plan."""

import itertools
from dataclasses import replace

import pytest

from appliance.core.engine_duty import (
    AFTER_REFUSED,
    BAD,
    CARD_LOST,
    CARD_REST_S,
    FAULTS,
    FELL_BACK,
    NEXT,
    REFUSED,
    RETRY_S,
    SAID,
    STEADY_S,
    Duty,
    DutyEvent,
    DutyState,
    ImpossibleDuty,
    OnRefused,
    advance,
    begin,
)
from appliance.core.reasons import Of, reason

POSSIBLE = {*NEXT, (DutyState.STARTING, DutyEvent.REFUSED)}
NOW_S = 1000.0


def at(state: DutyState, **other: object) -> Duty:
    return replace(Duty(state=state, why="before", since_s=NOW_S - 10.0), **other)  # type: ignore[arg-type]


def lost(duty: Duty, after_s: float, fault: str = FELL_BACK) -> Duty:
    return advance(duty, DutyEvent.LOST, now_s=duty.since_s + after_s, why="crashed", fault=fault)


def served(duty: Duty, after_s: float = 1.0) -> Duty:
    return advance(duty, DutyEvent.SERVES, now_s=duty.since_s + after_s, why="proven")


def tried(duty: Duty) -> Duty:
    assert duty.retry_s is not None
    return advance(duty, DutyEvent.DUE, now_s=duty.retry_s, why="again")


@pytest.mark.parametrize(("state", "event"), list(itertools.product(DutyState, DutyEvent)))
def test_every_pair(state: DutyState, event: DutyEvent) -> None:
    duty = at(state)
    if (state, event) not in POSSIBLE:
        with pytest.raises(ImpossibleDuty):
            advance(duty, event, now_s=NOW_S, why="now")
        return
    for policy in OnRefused:
        after = advance(duty, event, now_s=NOW_S, why="now", fault=FELL_BACK, on_refused=policy)
        assert after.state is (AFTER_REFUSED[policy] if event is DutyEvent.REFUSED else NEXT[state, event])
        assert (after.why, after.since_s) == ("now", NOW_S)
        waits = after.state in (DutyState.DEGRADED, DutyState.STOPPED)
        assert (after.retry_s is not None) == waits, "whoever has failed is tried again, and nobody else"


def test_every_state_leads_to_the_card_or_wants_none() -> None:
    """From nowhere but SPARE_ONLY is the card given up for ever."""
    leads_on = {start: {end for (state, _), end in NEXT.items() if state is start} for start in DutyState}
    leads_on[DutyState.STARTING] |= set(AFTER_REFUSED.values())
    assert begin(fast_wanted=None, why="", now_s=0.0).state is DutyState.CHOOSING
    for start in set(DutyState) - {DutyState.SPARE_ONLY}:
        reached, grown = {start}, True
        while grown:
            more = set().union(*(leads_on[state] for state in reached)) | reached
            grown, reached = more != reached, more
        assert DutyState.ON_GPU in reached, start


def test_pauses_grow_and_stay_at_an_hour() -> None:
    duty = begin(fast_wanted=True, why="", now_s=0.0)
    pauses = []
    for _ in range(len(RETRY_S) + 2):
        duty = lost(duty, 1.0)
        assert duty.retry_s is not None
        pauses.append(duty.retry_s - duty.since_s)
        duty = tried(duty)
    assert pauses == [1.0, 5.0, 30.0, 300.0, 3600.0, 3600.0, 3600.0]


def test_serving_for_a_moment_shortens_no_pause() -> None:
    duty = begin(fast_wanted=True, why="", now_s=0.0)
    for pause_s in RETRY_S:
        duty = lost(served(duty), STEADY_S - 1.0)
        assert duty.retry_s == duty.since_s + pause_s
        duty = tried(duty)
    duty = lost(served(duty), STEADY_S)
    assert duty.retry_s == duty.since_s + RETRY_S[0]


def test_a_card_that_is_gone_is_left_in_peace() -> None:
    duty = lost(begin(fast_wanted=True, why="", now_s=0.0), 1.0, CARD_LOST)
    assert duty.retry_s == duty.since_s + CARD_REST_S


def test_the_alert_stands_until_the_card_serves() -> None:
    duty = begin(fast_wanted=True, why="", now_s=0.0)
    assert duty.fault == ""
    duty = lost(served(duty), 5.0)
    assert duty.fault == FELL_BACK
    duty = tried(duty)
    assert duty.fault == FELL_BACK
    assert served(duty).fault == ""


def test_a_plan_is_built_once_until_one_has_served() -> None:
    def refused(duty: Duty) -> Duty:
        return advance(
            duty, DutyEvent.REFUSED, now_s=1.0, why="other card", fault=FELL_BACK, on_refused=OnRefused.REBUILD
        )

    for end in (DutyEvent.BUILT, DutyEvent.NOT_BUILT):
        duty = refused(begin(fast_wanted=True, why="", now_s=0.0))
        assert duty.state is DutyState.REBUILDING
        duty = advance(duty, end, now_s=2.0, why="", fault=FELL_BACK)
        again = duty if end is DutyEvent.BUILT else tried(duty)
        assert refused(again).state is DutyState.DEGRADED
        duty = lost(served(again), 1.0)
        assert refused(tried(duty)).state is DutyState.REBUILDING


def test_nobody_reads_while_a_refused_plan_is_tried_once_more() -> None:
    duty = begin(fast_wanted=True, why="", now_s=0.0)
    assert not duty.stopped, "until it is refused the spare reads"
    duty = advance(duty, DutyEvent.REFUSED, now_s=1.0, why="", fault=REFUSED, on_refused=OnRefused.FAIL)
    assert duty.stopped
    duty = tried(duty)
    assert duty.stopped
    assert not served(duty).stopped
    assert not lost(duty, 1.0).stopped, "a card that breaks is no refused plan"


def test_words_and_codes_stand_where_people_read_them() -> None:
    assert set(SAID) == set(DutyState)
    assert set(DutyState) > BAD
    assert [reason(Of.TECHNICAL, code).leads_to for code in FAULTS] == ["TECHNICAL", "TECHNICAL", "BLIND"]
