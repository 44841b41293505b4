"""The life of a study."""

import itertools

import pytest

from appliance.core.alerts import ImpossibleEvent
from appliance.core.studies import NEXT, StudyEvent, StudyHappening, StudyJudged, StudyStatus, advance, fold
from appliance.core.words import Outcome, StudyState

H = StudyHappening
IMPOSSIBLE = {
    *itertools.product([StudyState.OPEN, StudyState.CLOSED], [H.OPENED]),
    *itertools.product([None], [H.CLOSED, H.REOPENED, H.SEEN, H.JUDGED]),
    (StudyState.OPEN, H.REOPENED),
    (StudyState.CLOSED, H.CLOSED),
}


@pytest.mark.parametrize(("state", "happening"), list(itertools.product([None, *StudyState], StudyHappening)))
def test_every_pair_is_legal_or_impossible(state: StudyState | None, happening: StudyHappening) -> None:
    before = None if state is None else StudyStatus(state=state, opened_ns=1)
    event = StudyEvent(
        happening=happening,
        at_ns=2,
        outcome=Outcome.REVIEW if happening is H.CLOSED else None,
        judged=StudyJudged.BLEED if happening is H.JUDGED else None,
    )
    assert ((state, happening) in NEXT) != ((state, happening) in IMPOSSIBLE)
    if (state, happening) in NEXT:
        assert advance(before, event).state is NEXT[(state, happening)]
    else:
        with pytest.raises(ImpossibleEvent):
            advance(before, event)


def test_a_press_counts_until_the_study_closes_again() -> None:
    events = [
        StudyEvent(happening=H.OPENED, at_ns=1),
        StudyEvent(happening=H.CLOSED, at_ns=2, outcome=Outcome.NOT_ANALYSED),
        StudyEvent(happening=H.SEEN, at_ns=3, by="first"),
        StudyEvent(happening=H.SEEN, at_ns=4, by="second"),
    ]
    seen = fold(events)
    assert seen == StudyStatus(
        state=StudyState.CLOSED, opened_ns=1, closed_ns=2, outcome=Outcome.NOT_ANALYSED, seen_by="first"
    )
    reopened = advance(seen, StudyEvent(happening=H.REOPENED, at_ns=5))
    assert (reopened.state, reopened.closed_ns, reopened.outcome) == (StudyState.OPEN, None, Outcome.NOT_ANALYSED)
    closed = advance(reopened, StudyEvent(happening=H.CLOSED, at_ns=6, outcome=Outcome.NO_FINDING))
    assert (closed.seen_by, closed.outcome, closed.closed_ns) == ("", Outcome.NO_FINDING, 6)


def test_closed_without_an_outcome_cannot_be() -> None:
    opened = fold([StudyEvent(happening=H.OPENED, at_ns=1)])
    with pytest.raises(ImpossibleEvent):
        advance(opened, StudyEvent(happening=H.CLOSED, at_ns=2))


def test_the_last_judgement_counts_and_outlives_what_lands_later() -> None:
    events = [
        StudyEvent(happening=H.OPENED, at_ns=1),
        StudyEvent(happening=H.CLOSED, at_ns=2, outcome=Outcome.NO_FINDING),
        StudyEvent(happening=H.JUDGED, at_ns=3, by="first", judged=StudyJudged.UNCLEAR),
        StudyEvent(happening=H.JUDGED, at_ns=4, by="second", judged=StudyJudged.BLEED),
        StudyEvent(happening=H.REOPENED, at_ns=5),
        StudyEvent(happening=H.CLOSED, at_ns=6, outcome=Outcome.NO_FINDING),
    ]
    status = fold(events)
    assert status is not None and status.judged is StudyJudged.BLEED


def test_judged_without_a_word_cannot_be() -> None:
    opened = fold([StudyEvent(happening=H.OPENED, at_ns=1)])
    with pytest.raises(ImpossibleEvent):
        advance(opened, StudyEvent(happening=H.JUDGED, at_ns=2))
