"""The life of an alert, without a clock or a table."""

import itertools

import pytest

from appliance.core.alerts import (
    ENDED,
    NEWS,
    NEXT,
    OPEN,
    SOUNDS,
    AlertEvent,
    AlertState,
    AlertStatus,
    Happening,
    ImpossibleEvent,
    Judged,
    Step,
    advance,
    alert_step,
    fold,
    is_news,
    rings,
)
from appliance.core.words import Finality, Level

S, H = AlertState, Happening
CRITICAL, REVIEW = Level.CRITICAL, Level.REVIEW
PROVISIONAL, FINAL = Finality.PROVISIONAL, Finality.FINAL

CLINICAL = {
    S.SOUNDING,
    S.SOUNDING_DOUBTED,
    S.SOUNDING_WITHDRAWN,
    S.LISTED,
    S.LISTED_WITHDRAWN,
    S.SEEN,
    S.SEEN_DOUBTED,
    S.SEEN_WITHDRAWN,
}
TECHNICAL = {S.FAULT_UNSEEN, S.FAULT_SEEN}
TEST = {S.TEST_UNSEEN, S.TEST_SEEN}

IMPOSSIBLE = {
    # A technical alert or a test that stands is not raised again; one that has ended leaves its place to another row.
    *itertools.product(TECHNICAL | TEST | {S.MENDED}, {H.RAISED}),
    # What sounds is at the highest level; what is withdrawn is raised, not upgraded.
    *itertools.product(CLINICAL - {S.LISTED, S.SEEN}, {H.UPGRADED}),
    *itertools.product(TEST | {S.MENDED}, {H.UPGRADED}),
    # A reading says nothing of a fault or a test. A REVIEW is withdrawn, not doubted. Nothing is doubted twice.
    *itertools.product(TECHNICAL | TEST | {S.MENDED}, {H.DOUBTED, H.WITHDRAWN}),
    *itertools.product(
        {S.LISTED, S.LISTED_WITHDRAWN, S.SOUNDING_DOUBTED, S.SEEN_DOUBTED, S.SEEN_WITHDRAWN}, {H.DOUBTED}
    ),
    *itertools.product({S.SOUNDING_WITHDRAWN, S.LISTED_WITHDRAWN, S.SEEN_WITHDRAWN}, {H.WITHDRAWN}),
    # A bleed is not mended, and mended is the end.
    *itertools.product(CLINICAL | {S.MENDED}, {H.MENDED}),
    # Only what a reading says can be judged.
    *itertools.product(TECHNICAL | TEST | {S.MENDED}, {H.JUDGED}),
}


def event(happening: Happening, at_ns: int = 0, level: Level | None = None, **more: object) -> AlertEvent:
    return AlertEvent(happening=happening, at_ns=at_ns, level=level, **more)  # type: ignore[arg-type]


def level_of(state: AlertState) -> Level:
    if state in (S.LISTED, S.LISTED_WITHDRAWN):
        return REVIEW
    if state in TEST:
        return Level.TEST
    return Level.TECHNICAL if state in TECHNICAL | {S.MENDED} else CRITICAL


def status(state: AlertState, level: Level | None = None, finality: Finality = FINAL) -> AlertStatus:
    return AlertStatus(
        state=state,
        level=level or level_of(state),
        finality=finality,
        raised_ns=1,
        changed_ns=1,
        sounded_ns=1 if state in SOUNDS else None,
    )


@pytest.mark.parametrize(("state", "happening"), list(itertools.product(AlertState, Happening)))
def test_every_pair_is_legal_or_impossible(state: AlertState, happening: Happening) -> None:
    legal = (state, happening) in NEXT
    assert legal != ((state, happening) in IMPOSSIBLE)
    level = level_of(state) if happening in (H.RAISED, H.UPGRADED) else None
    if legal:
        assert advance(status(state), event(happening, level=level, judged=Judged.UNCLEAR)).state in AlertState
    else:
        with pytest.raises(ImpossibleEvent):
            advance(status(state), event(happening, level=level))


@pytest.mark.parametrize("happening", [one for one in Happening if one is not H.RAISED])
def test_nothing_happens_before_it_is_raised(happening: Happening) -> None:
    with pytest.raises(ImpossibleEvent):
        advance(None, event(happening, level=CRITICAL))


@pytest.mark.parametrize("state", sorted(SOUNDS & CLINICAL))
@pytest.mark.parametrize(
    "happening", [H.RAISED, H.UPGRADED, H.DOUBTED, H.WITHDRAWN, H.DELIVERED, H.FAILED, H.ESCALATED]
)
@pytest.mark.parametrize("level", [CRITICAL, REVIEW])
@pytest.mark.parametrize("new_acquisition", [False, True])
def test_no_machine_event_silences_a_critical_that_has_sounded(
    state: AlertState, happening: Happening, level: Level, new_acquisition: bool
) -> None:
    if (state, happening) not in NEXT:
        return
    after = advance(status(state), event(happening, level=level, new_acquisition=new_acquisition))
    assert after.open
    assert after.sounds
    assert after.level is CRITICAL


@pytest.mark.parametrize("state", sorted(CLINICAL))
@pytest.mark.parametrize("new_acquisition", [False, True])
def test_review_never_sounds(state: AlertState, new_acquisition: bool) -> None:
    before = status(state, REVIEW if not state.startswith("SOUNDING") else CRITICAL)
    raised = event(H.RAISED, level=REVIEW, new_acquisition=new_acquisition)
    assert advance(before, raised).sounds == before.sounds
    assert before.sounds or not rings(before, raised)


def test_what_a_person_knew_stays_silent_and_news_sounds_again() -> None:
    acknowledged = fold([event(H.RAISED, 1, CRITICAL, finality=PROVISIONAL), event(H.ACKNOWLEDGED, 2, by="A. Example")])
    assert acknowledged is not None
    assert (acknowledged.open, acknowledged.sounds, acknowledged.acknowledged_by) == (False, False, "A. Example")

    confirmed = event(H.RAISED, 3, CRITICAL, finality=FINAL)
    assert not rings(acknowledged, confirmed)
    assert advance(acknowledged, confirmed).finality is FINAL
    assert advance(acknowledged, confirmed).acknowledged_by == "A. Example"

    doubted = advance(acknowledged, event(H.DOUBTED, 3))
    assert (doubted.doubted, doubted.sounds) == (True, False)
    assert not rings(doubted, event(H.RAISED, 4, CRITICAL))

    withdrawn = advance(doubted, event(H.WITHDRAWN, 4))
    again = event(H.RAISED, 5, CRITICAL)
    assert rings(withdrawn, again)
    after = advance(withdrawn, again)
    assert (after.sounds, after.open, after.acknowledged_by, after.sounded_ns) == (True, True, "", 5)

    later = event(H.RAISED, 6, CRITICAL, new_acquisition=True)
    assert rings(acknowledged, later)
    assert advance(acknowledged, later).sounds


def test_an_upgrade_of_an_answered_review_sounds() -> None:
    seen = fold([event(H.RAISED, 1, REVIEW), event(H.ACKNOWLEDGED, 2, by="x")])
    assert seen is not None
    assert not seen.open
    upgrade = event(H.UPGRADED, 3, CRITICAL)
    assert rings(seen, upgrade)
    assert advance(seen, upgrade).level is CRITICAL
    with pytest.raises(ImpossibleEvent):
        advance(seen, event(H.RAISED, 3, CRITICAL))


def test_withdrawn_unseen_goes_on_sounding_until_a_person_answers() -> None:
    unseen = fold([event(H.RAISED, 1, CRITICAL), event(H.DOUBTED, 2), event(H.WITHDRAWN, 3)])
    assert unseen is not None
    assert (unseen.open, unseen.sounds, unseen.withdrawn) == (True, True, True)
    seen = advance(unseen, event(H.ACKNOWLEDGED, 4, by="x"))
    assert (seen.open, seen.sounds, seen.withdrawn) == (False, False, True)


def test_a_withdrawn_review_closes_quietly() -> None:
    withdrawn = fold([event(H.RAISED, 1, REVIEW), event(H.WITHDRAWN, 2)])
    assert withdrawn is not None
    assert (withdrawn.open, withdrawn.sounds, withdrawn.withdrawn) == (False, False, True)


def test_who_judges_has_looked() -> None:
    judged = fold([event(H.RAISED, 1, CRITICAL), event(H.JUDGED, 2, by="Dr. Example", judged=Judged.REFUTED)])
    assert judged is not None
    assert (judged.sounds, judged.judged, judged.acknowledged_by) == (False, Judged.REFUTED, "Dr. Example")
    raised = advance(judged, event(H.RAISED, 3, CRITICAL, new_acquisition=True))
    assert (raised.sounds, raised.judged) == (True, None)


def test_the_first_of_two_presses_counts() -> None:
    two = fold(
        [event(H.RAISED, 1, CRITICAL), event(H.ACKNOWLEDGED, 2, by="first"), event(H.ACKNOWLEDGED, 3, by="second")]
    )
    assert two is not None
    assert (two.acknowledged_by, two.acknowledged_ns) == ("first", 2)


def test_a_fault_stays_open_until_mended_and_becoming_blind_sounds_again() -> None:
    seen = fold([event(H.RAISED, 1, Level.TECHNICAL), event(H.ACKNOWLEDGED, 2, by="x")])
    assert seen is not None
    assert (seen.open, seen.sounds, seen.ended) == (True, False, False)
    blind = event(H.UPGRADED, 3, Level.TECHNICAL)
    assert rings(seen, blind)
    assert advance(seen, blind).level is Level.TECHNICAL
    mended = advance(seen, event(H.MENDED, 4))
    assert (mended.open, mended.sounds, mended.ended) == (False, False, True)


def test_a_test_ends_with_its_answer() -> None:
    seen = fold([event(H.RAISED, 1, Level.TEST), event(H.ACKNOWLEDGED, 2, by="x")])
    assert seen is not None
    assert (seen.open, seen.ended, seen.level) == (False, True, Level.TEST)


def test_the_named_sets_agree_with_each_other() -> None:
    assert set(NEXT) >= NEWS
    assert not ENDED & OPEN
    assert SOUNDS <= OPEN


# alert_step: what a new reading does. None stands for no alert yet.
READINGS = list(
    itertools.product([None, REVIEW, CRITICAL], Finality, [False, True], [False, True], [None, REVIEW, CRITICAL])
)


@pytest.mark.parametrize("state", [None, *sorted(CLINICAL)])
@pytest.mark.parametrize("held", Finality)
def test_a_step_is_always_possible_and_never_lowers_silently(state: AlertState | None, held: Finality) -> None:
    levels = [level_of(state)] if state else [None]
    if state in (S.SEEN, S.SEEN_WITHDRAWN):
        levels = [CRITICAL, REVIEW]
    for level in levels:
        before = status(state, level, held) if state else None
        for said, finality, new_acquisition, same_series, others in READINGS:
            step = alert_step(
                before, said, finality, new_acquisition=new_acquisition, same_series=same_series, others=others
            )
            if step is None:
                continue
            happened = event(
                step.happening, 9, step.level, finality=step.finality, new_acquisition=step.new_acquisition
            )
            after = advance(before, happened)
            if before is None:
                assert step.happening is H.RAISED
                continue
            lower = before.level is CRITICAL and after.level is REVIEW
            assert not lower or (before.withdrawn and not before.open)
            assert not (before.sounds and not after.sounds)
            if is_news(before, happened):
                assert step.happening is H.UPGRADED or before.withdrawn or new_acquisition
            if said is None:
                assert step.happening in (H.DOUBTED, H.WITHDRAWN)


def test_the_same_reading_again_never_does_anything_again() -> None:
    """Resends and other reconstructions of the same acquisition never sound again."""
    for state, (said, finality, _, same_series, others) in itertools.product([None, *sorted(CLINICAL)], READINGS):
        before = status(state) if state else None
        step = alert_step(before, said, finality, new_acquisition=False, same_series=same_series, others=others)
        if step is None:
            continue
        after = advance(before, event(step.happening, 9, step.level, finality=step.finality))
        again = alert_step(after, said, finality, new_acquisition=False, same_series=same_series, others=others)
        assert again is None or not rings(after, event(again.happening, 10, again.level, finality=again.finality)), (
            state,
            said,
            finality,
            step,
            again,
        )


@pytest.mark.parametrize(
    ("before", "level", "finality", "expected"),
    [
        (None, CRITICAL, PROVISIONAL, H.RAISED),
        (None, CRITICAL, FINAL, H.RAISED),
        (None, REVIEW, PROVISIONAL, None),
        (None, REVIEW, FINAL, H.RAISED),
        (None, None, FINAL, None),
        (status(S.SOUNDING, finality=PROVISIONAL), None, PROVISIONAL, H.DOUBTED),
        (status(S.SOUNDING, finality=PROVISIONAL), REVIEW, FINAL, H.DOUBTED),
        (status(S.SOUNDING, finality=PROVISIONAL), None, FINAL, H.WITHDRAWN),
        (status(S.SOUNDING, finality=PROVISIONAL), CRITICAL, FINAL, H.RAISED),
        (status(S.SOUNDING, finality=PROVISIONAL), CRITICAL, PROVISIONAL, None),
        (status(S.SOUNDING, finality=FINAL), None, PROVISIONAL, None),
        (status(S.SOUNDING, finality=FINAL), CRITICAL, FINAL, None),
        (status(S.SOUNDING_DOUBTED, finality=FINAL), CRITICAL, FINAL, H.RAISED),
        (status(S.SOUNDING_DOUBTED, finality=FINAL), None, FINAL, H.WITHDRAWN),
        (status(S.SOUNDING_WITHDRAWN), None, FINAL, None),
        (status(S.SOUNDING_WITHDRAWN), REVIEW, FINAL, H.DOUBTED),
        (status(S.SOUNDING_WITHDRAWN), CRITICAL, FINAL, H.RAISED),
        (status(S.SOUNDING_WITHDRAWN), CRITICAL, PROVISIONAL, None),
        (status(S.SEEN_WITHDRAWN), REVIEW, FINAL, H.RAISED),
        (status(S.LISTED), REVIEW, FINAL, None),
        (status(S.LISTED), CRITICAL, PROVISIONAL, H.UPGRADED),
        (status(S.SEEN, REVIEW), CRITICAL, FINAL, H.UPGRADED),
        (status(S.LISTED), None, FINAL, H.WITHDRAWN),
        (status(S.LISTED), None, PROVISIONAL, None),
        (status(S.SEEN), None, FINAL, H.WITHDRAWN),
    ],
)
def test_what_a_reading_of_the_alerted_series_does(
    before: AlertStatus | None, level: Level | None, finality: Finality, expected: Happening | None
) -> None:
    step = alert_step(before, level, finality, new_acquisition=False)
    assert (step.happening if step else None) is expected


def test_a_later_scan_sounds_again_and_lowers_nothing() -> None:
    seen = status(S.SEEN)
    step = alert_step(seen, CRITICAL, PROVISIONAL, new_acquisition=True, same_series=False)
    assert step == Step(happening=H.RAISED, level=CRITICAL, finality=PROVISIONAL, new_acquisition=True)
    assert alert_step(seen, None, FINAL, new_acquisition=True, same_series=False) is None
    assert alert_step(seen, REVIEW, FINAL, new_acquisition=True, same_series=False) is None
    listed = alert_step(status(S.SEEN, REVIEW), REVIEW, FINAL, new_acquisition=True, same_series=False)
    assert listed is not None
    assert advance(status(S.SEEN, REVIEW), event(H.RAISED, 2, REVIEW, new_acquisition=True)).state is S.LISTED


def test_another_reconstruction_neither_sounds_nor_lowers_and_holds_what_it_holds() -> None:
    seen = status(S.SEEN)
    assert alert_step(seen, CRITICAL, FINAL, new_acquisition=False, same_series=False) is None
    assert alert_step(seen, None, FINAL, new_acquisition=False, same_series=False) is None
    assert alert_step(seen, None, FINAL, new_acquisition=False, others=CRITICAL) is None
    doubted = alert_step(seen, None, FINAL, new_acquisition=False, others=REVIEW)
    assert doubted is not None
    assert doubted.happening is H.DOUBTED
