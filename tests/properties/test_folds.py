"""Whatever happens, in whatever order: the stored statuses are what the events come to, and no rule of alerting breaks."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.core.alerts import AlertEvent, Happening, ImpossibleEvent, Judged, alert_step, fold
from appliance.core.escalation import EscalationPolicy, EscalationStep, owed
from appliance.core.ledger import AlertKey
from appliance.core.studies import StudyHappening
from appliance.core.words import Finality, Level, Outcome, StudyState
from appliance.records import alerts, deliveries, studies
from appliance.records.check import check
from appliance.records.escalations import ringing_alerts
from appliance.records.ledger import Connection, Ledger
from tests.real import invented

CLINICAL = AlertKey(kind="clinical", first="FAKE-0001", second="2.25.1", third="head_ct")
TECHNICAL = AlertKey(kind="technical", first="engine-fault", second="box")

readings = st.tuples(
    st.just("reading"),
    st.sampled_from([None, Level.REVIEW, Level.CRITICAL]),
    st.sampled_from(Finality),
    st.sampled_from(["same series", "other reconstruction", "later scan"]),
)
presses = st.tuples(st.sampled_from(["acknowledge", "judge"]), st.sampled_from(Judged))
channels = st.tuples(st.sampled_from([Happening.DELIVERED, Happening.FAILED, Happening.ESCALATED]))
faults = st.tuples(st.sampled_from(["fault", "fault seen", "fault mended", "fault blind"]))
clinical_lives = st.lists(st.one_of(readings, presses, channels), max_size=25)
lives = st.lists(st.one_of(readings, presses, channels, faults), max_size=25)
real = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def _on_a_fresh_ledger(migrated: Path, folder: Path, body: Callable[[Ledger], None]) -> None:
    for left in folder.glob("ledger.db*"):
        left.unlink()
    with Ledger.open(Path(shutil.copy(migrated, folder / "ledger.db"))) as ledger:
        body(ledger)


def _happen(w: Connection, what: tuple[Any, ...], at_ns: int) -> None:
    """One thing happens, the way the programs make it happen. What cannot happen now does not."""
    standing = alerts.find_alert(w, CLINICAL)
    match what:
        case ("reading", level, finality, whence):
            _read(w, level, finality, whence, at_ns)
        case ("fault",):
            alerts.raise_alert(w, TECHNICAL, Level.TECHNICAL, **_nowhere(at_ns))
        case ("fault seen" | "fault mended" | "fault blind" as word,):
            fault = alerts.find_alert(w, TECHNICAL)
            happening = {"seen": Happening.ACKNOWLEDGED, "mended": Happening.MENDED, "blind": Happening.UPGRADED}
            if fault is not None:
                alerts.append_event(w, fault.id, happening[word.split()[1]], at_ns=at_ns, by="x", details={})
        case ("acknowledge", _) if standing:
            alerts.append_event(w, standing.id, Happening.ACKNOWLEDGED, at_ns=at_ns, by=f"p{at_ns}", details={})
        case ("judge", judged) if standing:
            alerts.append_event(w, standing.id, Happening.JUDGED, at_ns=at_ns, by="d", details={}, judged=judged)
        case (Happening() as told,) if standing:
            alerts.append_event(w, standing.id, told, at_ns=at_ns, by="webhook", details={})


def _nowhere(at_ns: int) -> dict[str, Any]:
    return {"study_id": None, "series_id": None, "reading_id": None, "at_ns": at_ns, "details": {}, "by": "triage"}


def _read(w: Connection, level: Level | None, finality: Finality, whence: str, at_ns: int) -> None:
    standing = alerts.find_alert(w, CLINICAL)
    step = alert_step(
        None if standing is None else alerts.status_of(standing),
        level,
        finality,
        new_acquisition=whence == "later scan",
        same_series=whence == "same series",
    )
    if step is None:
        return
    said = {"finality": step.finality, "new_acquisition": step.new_acquisition}
    if step.happening is Happening.RAISED:
        alerts.raise_alert(w, CLINICAL, step.level, **said, **_nowhere(at_ns))  # type: ignore[arg-type]
    else:
        assert standing is not None
        alerts.append_event(
            w, standing.id, step.happening, at_ns=at_ns, by="triage", details={}, level=step.level, **said
        )  # type: ignore[arg-type]


@real
@given(lives)
def test_the_stored_status_of_an_alert_is_what_its_events_come_to(
    migrated: Path, tmp_path: Path, life: list[tuple[Any, ...]]
) -> None:
    def body(ledger: Ledger) -> None:
        with ledger.writing() as w:
            for at_ns, what in enumerate(life, start=1):
                _happen(w, what, at_ns)
        assert check(ledger) == []
        with ledger.reading() as r:
            standing = alerts.find_alert(r, CLINICAL)
            events = [] if standing is None else [alerts.event_of(one) for one in alerts.events_of(r, standing.id)]
            assert fold(events) == (None if standing is None else alerts.status_of(standing))

    _on_a_fresh_ledger(migrated, tmp_path, body)


@real
@given(clinical_lives)
def test_no_life_breaks_a_rule_of_alerting(migrated: Path, tmp_path: Path, life: list[tuple[Any, ...]]) -> None:
    def body(ledger: Ledger) -> None:
        for at_ns, what in enumerate(life, start=1):
            with ledger.writing() as w:
                before = alerts.find_alert(w, CLINICAL)
                _happen(w, what, at_ns)
                after = alerts.find_alert(w, CLINICAL)
            if after is None:
                continue
            by_person = what[0] in ("acknowledge", "judge")
            if before is not None and before.sounds:
                assert after.sounds != by_person  # only a person silences it, and every person does
                assert after.level is before.level
            assert not (after.sounds and after.level is Level.REVIEW)
            rang = before is None or before.sounding_event_id != after.sounding_event_id
            if rang and before is not None:
                # News: it got worse, it came back, or the patient was scanned again.
                assert before.level is Level.REVIEW or before.withdrawn or what[3] == "later scan"
            if what[0] == "reading" and what[1] is None and before is not None:
                assert not rang
        with ledger.reading() as r:
            found = [row for row in alerts.alerts_on_board(r, 10**6, 10**9) if row.key == CLINICAL]
            assert len(found) <= 1

    _on_a_fresh_ledger(migrated, tmp_path, body)


@real
@given(clinical_lives)
def test_every_sound_is_told_once_on_every_channel(migrated: Path, tmp_path: Path, life: list[tuple[Any, ...]]) -> None:
    """A courier that looks after each step owes one message for each event that started the sound, and no other."""

    def body(ledger: Ledger) -> None:
        with ledger.writing() as w:
            for at_ns, what in enumerate(life, start=1):
                _happen(w, what, at_ns)
                for _ in range(2):
                    deliveries.enqueue(w, _owed(w), at_ns)
            standing = alerts.find_alert(w, CLINICAL)
            if standing is None:
                return
            sounded = [one.id for one in alerts.events_of(w, standing.id) if one.sounds]
            assert [one.event_id for one in deliveries.deliveries_of(w, standing.id)] == sounded

    _on_a_fresh_ledger(migrated, tmp_path, body)


PAGER = EscalationPolicy(steps=(EscalationStep(name="Pager", after_s=0.0, channels=("pager",)),))


def _owed(r: Connection) -> list[deliveries.Owed]:
    """What a courier with one channel finds that it owes."""
    return [
        deliveries.Owed(alert_id=one.alert.id, event_id=event_id, channel=channel)
        for one in ringing_alerts(r)
        for channel, event_id in owed(PAGER, one.events, code=one.code).items()
    ]


study_lives = st.lists(
    st.tuples(
        st.sampled_from([StudyHappening.CLOSED, StudyHappening.REOPENED, StudyHappening.SEEN]), st.sampled_from(Outcome)
    ),
    max_size=20,
)


@real
@given(study_lives)
def test_the_stored_status_of_a_study_is_what_its_events_come_to(
    migrated: Path, tmp_path: Path, life: list[tuple[StudyHappening, Outcome]]
) -> None:
    def body(ledger: Ledger) -> None:
        with ledger.writing() as w:
            study, _ = invented.opened(w)
            for at_ns, (happening, outcome) in enumerate(life, start=11):
                closed = studies.study_by_id(w, study.id).state is StudyState.CLOSED  # type: ignore[union-attr]
                impossible = closed != (happening is not StudyHappening.CLOSED) and happening is not StudyHappening.SEEN
                try:
                    if happening is StudyHappening.CLOSED:
                        studies.close_study(w, study.id, outcome, (), at_ns)
                    elif happening is StudyHappening.REOPENED:
                        studies.reopen_study(w, study.id, at_ns)
                    else:
                        studies.see_study(w, study.id, f"p{at_ns}", at_ns)
                except ImpossibleEvent:
                    assert impossible
                else:
                    assert not impossible
        assert check(ledger) == []

    _on_a_fresh_ledger(migrated, tmp_path, body)


@given(
    st.lists(
        st.builds(
            AlertEvent,
            happening=st.sampled_from(Happening),
            at_ns=st.integers(0, 10),
            level=st.sampled_from([None, *Level]),
            finality=st.sampled_from([None, *Finality]),
            new_acquisition=st.booleans(),
            judged=st.sampled_from([None, *Judged]),
        ),
        max_size=12,
    )
)
def test_a_state_and_its_level_never_contradict_each_other(events: list[AlertEvent]) -> None:
    """Whatever events are appended, possible or not: what is refused changes nothing, what is taken stays in order."""
    taken: list[AlertEvent] = []
    for event in events:
        try:
            status = fold([*taken, event])
        except ImpossibleEvent:
            continue
        taken.append(event)
        assert status is not None
        allowed = {
            "SOUNDING": {Level.CRITICAL},
            "LISTED": {Level.REVIEW},
            "TEST": {Level.TEST},
            "FAULT": {Level.TECHNICAL},
        }
        others = {"SEEN": {Level.CRITICAL, Level.REVIEW}, "MENDED": {Level.TECHNICAL, Level.TEST}}
        assert status.level in {**allowed, **others}[status.state.split("_")[0]]
