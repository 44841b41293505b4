"""Who is told next: examples of each rule, and what holds for any ladder and any course of things."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.core.alerts import Happening
from appliance.core.escalation import (
    EVERYBODY,
    EscalationPolicy,
    EscalationStep,
    NextStep,
    Why,
    channels_of,
    details_of,
    next_step,
    owed,
    run_of,
    stage_of,
    upcoming,
    why_now,
)
from appliance.core.ledger import AlertEventRow
from appliance.core.words import Finality, Level

S = 10**9
RING = AlertEventRow(
    id=10, alert_id=1, happening=Happening.RAISED, at_ns=1_000 * S, by="triage", level=Level.CRITICAL,
    finality=Finality.FINAL, new_acquisition=False, sounds=True, judged=None, reading_id=1, details={},
)  # fmt: skip
WARD = EscalationStep(name="Ward pager", after_s=0.0, channels=("pager",))
TEAM = EscalationStep(name="Stroke team", after_s=120.0, channels=("phone", "mail"))
LEAD = EscalationStep(name="On-call lead", after_s=300.0, channels=("modem", "pager"))
LADDER = EscalationPolicy(steps=(WARD, TEAM, LEAD), repeat_s=240.0, technical=("mail",))


def later(event: AlertEventRow, happening: Happening, at_s: float, **more: Any) -> AlertEventRow:
    values: dict[str, Any] = {"sounds": False, "level": None, "details": {}, **more}
    return replace(event, id=event.id + 1, happening=happening, at_ns=round(at_s * S), by="x", **values)


def climbed(
    events: list[AlertEventRow], at_s: float, why: Why, policy: EscalationPolicy = LADDER
) -> list[AlertEventRow]:
    """The same events and the step that follows them."""
    run = run_of(policy, events)
    assert run is not None
    following = next_step(policy, run)
    assert following is not None
    return [*events, later(events[-1], Happening.ESCALATED, at_s, details=details_of(following, why))]


def why(events: list[AlertEventRow], now_s: float, policy: EscalationPolicy = LADDER, **more: Any) -> Why | None:
    run = run_of(policy, events)
    assert run is not None
    said: dict[str, Any] = {"no_screen": False, "dead": (), **more}
    return why_now(
        policy,
        run,
        since_ring_s=now_s - run.ring.at_ns / S,
        since_stage_s=now_s - run.stage.at_ns / S,
        **said,
    )


def test_the_first_step_is_told_by_the_ring_itself_and_the_next_is_announced() -> None:
    stage = stage_of(LADDER, [RING])
    assert stage is not None
    assert (stage.step, stage.name, stage.at_ns, stage.event_id) == (1, "Ward pager", RING.at_ns, RING.id)
    coming = upcoming(LADDER, [RING])
    assert coming is not None
    assert (coming.step_name, coming.due_ns) == ("Stroke team", 1_120 * S)
    assert channels_of(LADDER, RING) == ("pager",)


def test_steps_follow_each_other_by_time_and_then_everybody_again_and_again() -> None:
    events = [RING]
    assert why(events, 1_119.9) is None
    assert why(events, 1_120) is Why.TIME
    events = climbed(events, 1_120, Why.TIME)
    assert channels_of(LADDER, events[-1]) == ("phone", "mail")
    assert why(events, 1_299) is None
    assert why(events, 1_300) is Why.TIME
    events = climbed(events, 1_300, Why.TIME)
    assert why(events, 1_539) is None
    for number in (2, 3, 4):
        events = climbed(events, 1_060 + 240 * number, Why.TIME)
        stage = stage_of(LADDER, events)
        assert stage is not None
        assert (stage.step, stage.round, stage.name) == (3, number, EVERYBODY)
        assert channels_of(LADDER, events[-1]) == ("pager", "phone", "mail", "modem")
    coming = upcoming(LADDER, events)
    assert coming is not None
    assert (coming.step_name, coming.round, coming.due_ns) == (EVERYBODY, 5, (1_060 + 240 * 5) * S)


def test_a_ladder_of_one_step_repeats_that_step() -> None:
    policy = replace(LADDER, steps=(WARD,))
    coming = upcoming(policy, [RING])
    assert coming is not None
    assert (coming.step_name, coming.round, coming.due_ns) == ("Ward pager", 2, 1_240 * S)


def test_a_first_step_that_waits_is_told_later_and_only_the_screens_before() -> None:
    policy = replace(LADDER, steps=(replace(WARD, after_s=30.0), TEAM))
    stage = stage_of(policy, [RING])
    assert stage is not None
    assert (stage.step, channels_of(policy, RING)) == (0, ())
    assert (why([RING], 1_029, policy), why([RING], 1_030, policy)) == (None, Why.TIME)
    assert why([RING], 1_000, policy, no_screen=True) is Why.NO_SCREEN
    events = climbed([RING], 1_030, Why.TIME, policy)
    assert channels_of(policy, events[-1]) == ("pager",)


def test_no_screen_takes_one_step_at_once_and_pulls_the_others_with_it() -> None:
    assert why([RING], 1_000.1, no_screen=True) is Why.NO_SCREEN
    events = climbed([RING], 1_000.1, Why.NO_SCREEN)
    assert why(events, 1_001, no_screen=True) is None, "once for each ringing"
    coming = upcoming(LADDER, events)
    assert coming is not None
    assert coming.due_ns == round(1_180.1 * S), "as long after the stroke team as the ladder says"
    again = later(events[-1], Happening.UPGRADED, 1_050, sounds=True, level=Level.CRITICAL)
    assert why([*events, again], 1_050, no_screen=True) is Why.NO_SCREEN, "news starts anew"


def test_a_step_of_dead_channels_is_passed_and_a_dead_ladder_is_not_run_through_again() -> None:
    assert why([RING], 1_001, dead={"pager"}) is Why.DEAD_CHANNELS
    events = climbed([RING], 1_001, Why.DEAD_CHANNELS)
    assert why(events, 1_002, dead={"pager", "phone"}) is None, "the mail still works"
    assert why(events, 1_002, dead={"pager", "phone", "mail"}) is Why.DEAD_CHANNELS
    events = climbed(events, 1_002, Why.DEAD_CHANNELS)
    all_dead = {"pager", "phone", "mail", "modem"}
    assert why(events, 1_003, dead=all_dead, no_screen=True) is None
    assert why(events, 1_242, dead=all_dead) is Why.TIME


@pytest.mark.parametrize("answer", [Happening.ACKNOWLEDGED, Happening.JUDGED])
def test_an_answer_ends_it_and_news_begins_at_the_foot(answer: Happening) -> None:
    events = climbed([RING], 1_120, Why.TIME)
    events = [*events, later(events[-1], answer, 1_130)]
    assert why(events, 9_000, no_screen=True, dead={"pager"}) is None
    assert upcoming(LADDER, events) is None
    events = [*events, later(events[-1], Happening.RAISED, 2_000, sounds=True, level=Level.CRITICAL)]
    coming = upcoming(LADDER, events)
    assert coming is not None
    assert (coming.step_name, coming.due_ns) == ("Stroke team", 2_120 * S)
    assert owed(LADDER, events) == {"pager": events[-1].id}


def test_a_step_that_fell_due_while_no_courier_ran_says_so() -> None:
    assert why([RING], 5_000, starting=True) is Why.START
    assert why([RING], 1_001, starting=True) is None


@pytest.mark.parametrize("waits_s", [0.0, 30.0])
def test_a_test_alarm_goes_to_the_first_step_and_no_further(waits_s: float) -> None:
    policy = replace(LADDER, steps=(replace(WARD, after_s=waits_s), TEAM))
    test = replace(RING, level=Level.TEST)
    assert channels_of(policy, test) == ("pager",)
    assert why([test], 99_999, policy, no_screen=True, dead={"pager"}) is None
    assert upcoming(policy, [test]) is None


def test_a_fault_of_the_box_goes_to_its_own_channels_except_what_none_can_tell() -> None:
    fault = replace(RING, level=Level.TECHNICAL)
    assert channels_of(LADDER, fault, code="disk-low") == ("mail",)
    assert channels_of(LADDER, replace(fault, level=None), code="disk-low") == ("mail",)
    assert channels_of(LADDER, fault, code="courier-silent") == ()
    assert channels_of(LADDER, fault, code="nobody-can-be-told") == ()
    assert upcoming(LADDER, [fault]) is None


def test_what_a_channel_owes_is_the_newest_word_that_names_it() -> None:
    events = climbed(climbed([RING], 1_120, Why.TIME), 1_300, Why.TIME)
    ring, team, lead = (event.id for event in events)
    assert owed(LADDER, events[:1]) == {"pager": ring}
    assert owed(LADDER, events) == {"pager": lead, "phone": team, "mail": team, "modem": lead}


def test_an_event_that_names_a_channel_which_is_set_no_more_owes_nothing_on_it() -> None:
    events = climbed([RING], 1_120, Why.TIME)
    policy = replace(LADDER, steps=(WARD, replace(TEAM, channels=("mail",))))
    assert channels_of(policy, events[-1]) == ("mail",)


def test_a_ladder_that_has_become_shorter_goes_on_with_everybody() -> None:
    events = climbed(climbed([RING], 1_120, Why.TIME), 1_300, Why.TIME)
    coming = upcoming(replace(LADDER, steps=(WARD, TEAM)), events)
    assert coming is not None
    assert (coming.step_name, coming.due_ns) == (EVERYBODY, 1_540 * S)


def test_nobody_to_tell_is_no_ladder() -> None:
    nobody = EscalationPolicy()
    assert (upcoming(nobody, [RING]), channels_of(nobody, RING), owed(nobody, [RING])) == (None, (), {})
    assert why([RING], 9_999, nobody, no_screen=True) is None
    assert run_of(LADDER, []) is None


names = st.sampled_from(["pager", "phone", "mail", "modem", "siren"])
ladders = st.builds(
    lambda steps, repeat_s: EscalationPolicy(
        steps=tuple(
            EscalationStep(name=f"step {number}", after_s=float(after_s), channels=tuple(channels))
            for number, (after_s, channels) in enumerate(sorted(steps, key=lambda one: one[0]), start=1)
        ),
        repeat_s=float(repeat_s),
    ),
    st.lists(
        st.tuples(st.integers(0, 600), st.lists(names, min_size=1, max_size=3, unique=True)),
        min_size=1,
        max_size=5,
        unique_by=lambda one: one[0],
    ),
    st.integers(30, 600),
)
looks = st.lists(st.tuples(st.integers(0, 90), st.booleans(), st.sets(names, max_size=5)), min_size=1, max_size=60)


def _course(policy: EscalationPolicy, course: list[tuple[int, bool, set[str]]]) -> list[AlertEventRow]:
    """What a courier writes that looks at these times: seconds since the last look, no screen, dead channels."""
    events, now_s = [RING], RING.at_ns / S
    for passed_s, no_screen, dead in course:
        now_s += passed_s
        for _ in range(len(policy.steps) + 2):
            found = why(events, now_s, policy, no_screen=no_screen, dead=dead)
            if found is None:
                break
            events = climbed(events, now_s, found, policy)
        else:
            raise AssertionError("one look climbs for ever")
    return events


@given(ladders, looks)
def test_every_step_is_told_once_in_order_and_never_later_than_the_look_at_its_time(
    policy: EscalationPolicy, course: list[tuple[int, bool, set[str]]]
) -> None:
    events = _course(policy, course)
    taken = [event.details for event in events[1:]]
    first = 2 if policy.steps[0].after_s == 0 else 1
    rounds = [(int(said["round"]), int(said["step"])) for said in taken]
    ladder = [(1, number) for number in range(first, len(policy.steps) + 1)]
    assert rounds == [*ladder, *((n, len(policy.steps)) for n in range(2, len(rounds) + 2))][: len(rounds)]
    told = {number: event.at_ns for event, (of, number) in zip(events[1:], rounds, strict=True) if of == 1}
    times = [RING.at_ns + sum(one[0] for one in course[: n + 1]) * S for n in range(len(course))]
    for number, step in enumerate(policy.steps[first - 1 :], start=first):
        due_ns = RING.at_ns + round(step.after_s * S)
        looked = next((at_ns for at_ns in times if at_ns >= due_ns), None)
        assert looked is None or told[number] <= looked
    pushed = [said for said in taken if said["why"] == Why.NO_SCREEN]
    assert len(pushed) <= 1
    again = [event.at_ns for event, (of, _) in zip(events[1:], rounds, strict=True) if of > 1]
    assert all(two - one >= policy.repeat_s * S for one, two in pairwise(again))


@given(ladders, looks)
def test_what_the_screen_announces_is_what_the_courier_does(
    policy: EscalationPolicy, course: list[tuple[int, bool, set[str]]]
) -> None:
    events = _course(policy, course)
    coming, run = upcoming(policy, events), run_of(policy, events)
    assert coming is not None
    assert run is not None
    assert why(events, coming.due_ns / S, policy) is Why.TIME
    just_before_s = coming.due_ns / S - 0.01
    assert why(events, just_before_s, policy) is None
    following = next_step(policy, run)
    assert isinstance(following, NextStep)
    assert (following.name, following.step, following.round) == (coming.step_name, coming.step, coming.round)


@given(ladders, looks, st.integers(1, 20))
def test_the_last_steps_alone_tell_the_same_as_all_of_them(
    policy: EscalationPolicy, course: list[tuple[int, bool, set[str]]], kept: int
) -> None:
    """Of a ringing that nobody answers for days not every event is read."""
    events = _course(policy, course)
    enough = max(kept, len(policy.steps) + 1)
    short = [RING, *events[1:][-enough:]]
    assert upcoming(policy, short) == upcoming(policy, events)
    assert owed(policy, short) == owed(policy, events)
