"""The sentences of the study page: pure, from rows made up here."""

import pytest

from appliance.core.alerts import Happening, Judged, fold
from appliance.core.escalation import EscalationPolicy, EscalationStep
from appliance.core.headers import Patient, StudyFacts
from appliance.core.ledger import AlertEventRow, AlertKey, AlertRow, StudyEventRow, StudyRow
from appliance.core.studies import StudyHappening
from appliance.core.words import Finality, Level, Outcome, StudyState
from appliance.dashboard.board.views import Moment
from appliance.dashboard.study.log import chance, log_lines, numbers_words, since
from appliance.dashboard.words.moments import SECOND_NS, Ages, Calendar
from appliance.records.alerts import event_of
from appliance.records.board import BoardAlert
from appliance.records.whole_study import JudgedSums, WholeStudy

BEGAN_NS = 1_934_000_000 * SECOND_NS
POLICY = EscalationPolicy(
    steps=(
        EscalationStep(name="Ward pager", after_s=0, channels=("pager",)),
        EscalationStep(name="Stroke team", after_s=120, channels=("team",)),
    )
)


@pytest.mark.parametrize(
    ("ms", "words"),
    [
        (0, "+0 ms"),
        (61.4, "+61 ms"),
        (499, "+499 ms"),
        (800, "+0.8 s"),
        (9_949, "+9.9 s"),
        (9_960, "+9 s"),
        (27_900, "+27 s"),
        (99_000, "+1:39"),
        (3_900_000, "+1 h 05"),
        (-5, "+0 ms"),
    ],
)
def test_how_long_after(ms: float, words: str) -> None:
    assert since(BEGAN_NS + round(ms * 1e6), BEGAN_NS) == words


def test_no_figure_claims_certainty() -> None:
    assert [chance(one) for one in (0.0, 0.004, 0.01, 0.974, 0.99, 0.996, 1.0)] == [
        "< 0.01", "< 0.01", "0.01", "0.97", "0.99", "> 0.99", "> 0.99",
    ]  # fmt: skip


def test_which_slices() -> None:
    assert [numbers_words(numbers) for numbers in ((), (9,), (16, 17), (4, 5, 9))] == [
        "",
        "slice 9",
        "slices 16 and 17",
        "slices 4 to 9",
    ]


def event(happening: Happening, after_s: float, **more: object) -> AlertEventRow:
    event.made += 1  # type: ignore[attr-defined]
    given: dict[str, object] = {
        "by": "triage", "level": None, "finality": None, "new_acquisition": False, "sounds": False, "judged": None,
        "reading_id": None, "details": {}, **more,
    }  # fmt: skip
    return AlertEventRow(
        id=event.made,  # type: ignore[attr-defined]
        alert_id=1,
        happening=happening,
        at_ns=BEGAN_NS + round(after_s * SECOND_NS),
        **given,  # type: ignore[arg-type]
    )


event.made = 0  # type: ignore[attr-defined]


def whole(*events: AlertEventRow) -> WholeStudy:
    """A study whose alert has this life."""
    status = fold(event_of(one) for one in events)
    assert status is not None
    alert = AlertRow(
        id=1, key=AlertKey(kind="clinical", first="a", second="b"), state=status.state, level=status.level,
        finality=status.finality, study_id=1, series_id=None, reading_id=None, details={}, raised_ns=status.raised_ns,
        changed_ns=status.changed_ns, sounded_ns=status.sounded_ns, open=status.open, sounds=status.sounds,
        withdrawn=status.withdrawn, doubted=status.doubted, acknowledged_by=status.acknowledged_by,
        acknowledged_ns=status.acknowledged_ns, judged=status.judged, sounding_event_id=None, last_event_id=99,
    )  # fmt: skip
    study = StudyRow(
        id=1, facts=StudyFacts(study_uid="2.25.1", patient=Patient(identity="a")), state=StudyState.OPEN, outcome=None,
        reasons=(), opened_ns=BEGAN_NS - 30 * SECOND_NS, last_landed_ns=BEGAN_NS, closed_ns=None, set_aside=0,
    )  # fmt: skip
    return WholeStudy(
        study=study,
        events=(
            StudyEventRow(
                id=1,
                study_id=1,
                happening=StudyHappening.CLOSED,
                at_ns=BEGAN_NS + 600 * SECOND_NS,
                by="",
                outcome=Outcome.CRITICAL,
            ),
        ),
        series=(),
        speaking=None,
        shown=None,
        alert=BoardAlert(alert=alert, events=events),
        files=(),
        others_with_uid=0,
        judged=JudgedSums(confirmed=0, refuted=0, unclear=0),
    )


def said(of: WholeStudy, policy: EscalationPolicy = EscalationPolicy()) -> list[str]:
    moment = Moment(now_ns=BEGAN_NS, monotonic_s=0.0, calendar=Calendar.of("UTC"), ages=Ages())
    return [
        f"{line.lead}{line.words}|{line.due.text if line.due else line.after}" for line in log_lines(of, policy, moment)
    ]


RAISED = {"level": Level.CRITICAL, "finality": Finality.PROVISIONAL, "sounds": True}


def test_a_whole_life_in_its_order() -> None:
    life = [
        event(Happening.RAISED, 0.0, **RAISED),
        event(Happening.DELIVERED, 0.03, by="page", details={"page": "a", "sounded": "no"}),
        event(Happening.DELIVERED, 0.09, by="page", details={"page": "b", "sounded": "yes"}),
        event(Happening.FAILED, 0.5, by="pager"),
        event(Happening.FAILED, 1.5, by="pager"),
        event(Happening.DELIVERED, 2.5, by="pager"),
        event(Happening.ESCALATED, 120, by="courier",
              details={"step": "2", "round": "1", "name": "Stroke team", "channels": "team", "why": "time"}),
        event(Happening.DOUBTED, 121, details={"why": "later slices disagree"}),
        event(Happening.ACKNOWLEDGED, 130, by="R. Example"),
        event(Happening.JUDGED, 700, by="S. Sample", judged=Judged.CONFIRMED),
    ]  # fmt: skip
    assert said(whole(*life), POLICY) == [
        "First file landed|",
        "CRITICAL raised, provisional|+0 ms",
        "On 2 screens, sound played on 1|+30 ms",
        "pager did not take the message 2 times|+0.5 s",
        "pager took the message|+2.5 s",
        "Stroke team’s turn: nobody had answered|+2:00",
        "Doubted: later slices disagree|+2:01",
        "Acknowledged by R. Example: sound off|+2:10",
        "CRITICAL: the study has ended|",
        "Judged by S. Sample. Right: there is a bleed|+11:40",
    ]


def test_what_comes_next_stands_last_until_somebody_answers() -> None:
    raised = event(Happening.RAISED, 0.0, **RAISED)
    *_, last = said(whole(raised), POLICY)
    assert last == "Stroke team is told if nobody answers|at 06:15:20"
    answered = event(Happening.ACKNOWLEDGED, 5.0, by="R. Example")
    assert "is told" not in " ".join(said(whole(raised, answered), POLICY))


def test_each_news_counts_from_itself() -> None:
    life = [
        event(Happening.RAISED, 0.0, level=Level.REVIEW, finality=Finality.FINAL),
        event(Happening.UPGRADED, 50.0, level=Level.CRITICAL, finality=Finality.FINAL, sounds=True),
        event(Happening.DELIVERED, 50.2, by="page", details={"page": "a", "sounded": "yes"}),
    ]
    assert said(whole(*life))[1:4] == [
        "REVIEW raised|+0 ms",
        "Raised from REVIEW to CRITICAL|+0 ms",
        "On 1 screen, sound played on 1|+200 ms",
    ]


def test_what_a_channel_is_called_cannot_turn_a_line_round() -> None:
    life = [event(Happening.RAISED, 0.0, **RAISED), event(Happening.DELIVERED, 1.0, by="pa\u202eger")]
    assert "pager took the message|+1.0 s" in said(whole(*life))


def test_an_escalation_says_why() -> None:
    for why, words in (("no-screen", "no screen answered"), ("dead-channels", "those before could not be reached")):
        step = event(Happening.ESCALATED, 1.0, by="courier",
                     details={"step": "1", "round": "1", "name": "Everybody", "channels": "a", "why": why})  # fmt: skip
        assert f"Everybody’s turn: {words}|+1.0 s" in said(whole(event(Happening.RAISED, 0.0, **RAISED), step))


def repeated(rounds: int, *, taken: int, failed: int) -> list[AlertEventRow]:
    """Everybody told again so often; the mail took the first so many messages and refused the last so many."""
    life = [event(Happening.RAISED, 0.0, **RAISED)]
    for number in range(rounds):
        said = {"step": "2", "round": str(number + 2), "name": "Everybody", "channels": "pager,mail", "why": "time"}
        at_s = 300.0 * (number + 1)
        step = event(Happening.ESCALATED, at_s, by="courier", details=said)
        hangs = {"event": str(step.id)}
        life += [step, event(Happening.DELIVERED, at_s + 1, by="pager", details=hangs)]
        life += [event(Happening.DELIVERED, at_s + 2, by="mail", details=hangs)] if number < taken else []
        life += [event(Happening.FAILED, at_s + 3, by="mail", details=hangs)] if number >= rounds - failed else []
    return life


def test_a_night_of_telling_everybody_again_is_one_line() -> None:
    lines = said(whole(*repeated(12, taken=12, failed=0)))
    assert [line for line in lines if "again" in line or "took" in line] == [
        "Everybody told again 12 times, last 07:13|+5:00"
    ]


def test_what_a_channel_did_not_take_of_it_is_counted() -> None:
    lines = said(whole(*repeated(12, taken=3, failed=9)))
    again = "Everybody told again 12 times, last 07:13; mail took 3 of 12 messages|+5:00"
    assert [line for line in lines if "again" in line or "took" in line] == [again]


def test_a_repetition_that_nobody_has_taken_yet_is_not_called_told() -> None:
    first, step, *_ = repeated(1, taken=0, failed=0)
    assert "Everybody’s turn again|+5:00" in said(whole(first, step))
    refused = event(Happening.FAILED, 301.0, by="pager", details={"event": str(step.id)})
    assert "Everybody’s turn again; pager took 0 of 1 message|+5:00" in said(whole(first, step, refused))


def test_a_screen_that_was_loaded_again_is_one_screen() -> None:
    pages = [
        {"page": "a", "screen": "3f2a", "sounded": "yes"},
        {"page": "b", "screen": "3f2a", "sounded": "no"},
        {"page": "c", "screen": "77b0", "sounded": "no"},
        {"page": "d", "sounded": "no"},  # told nothing of its screen
    ]
    life = [event(Happening.DELIVERED, 1.0, by="page", details=details) for details in pages]
    assert "On 3 screens, sound played on 1|+1.0 s" in said(whole(event(Happening.RAISED, 0.0, **RAISED), *life))
