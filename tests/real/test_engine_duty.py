"""The card on duty and the spare beside it: batches, a loss in the middle of a scan, refused plans, the hourly test."""

import sys
import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from appliance.core.alerts import AlertState, Happening
from appliance.core.engine_duty import FELL_BACK, OnRefused
from appliance.core.errors import Fault
from appliance.core.ledger import EngineEventRow, ReadingRow, SeriesRow
from appliance.core.words import Finality, Level, Outcome
from appliance.inference.backend import BackendLost
from appliance.inference.choice import Choice, Choosing
from appliance.inference.loading import LoadedEngine
from appliance.inference.plan_files import PlanRefused
from appliance.reading.slice_reader import prepare_slice, read_slice, score_slices
from appliance.records.engines import current_engine, last_golden
from appliance.records.slices import score_slice
from appliance.store.shelf import Shelf
from appliance.triage.plan_build import BUILD_LONGEST_S, PlanBuild
from appliance.triage.scoring import ENGINE_AGAIN_S, Scoring
from appliance.triage.self_test import PATIENCE_S, SelfTest
from tests.conftest import MakeBox
from tests.phantom_exams import SLICES, series_files, small_exam
from tests.real.appliance import CALM, KEEN, Box, with_points
from tests.real.browsing import wait_for
from tests.real.cards import NAME, Card, Wrong
from tests.real.small_disk import held_by_another
from tests.real.test_engine import bits, geometry_of

HOUR_S = 3600.0
LOST = BackendLost(FELL_BACK, "its process was ended by signal 9")


@pytest.fixture
def keen(head_engine: LoadedEngine) -> LoadedEngine:
    return with_points(head_engine, KEEN)


@pytest.fixture
def calm(head_engine: LoadedEngine) -> LoadedEngine:
    return with_points(head_engine, CALM)


@pytest.fixture
def wrong(head_engine: LoadedEngine) -> Wrong:
    return Wrong(head_engine.backend)


@pytest.fixture
def card(head_engine: LoadedEngine) -> Card:
    return Card(within=head_engine.backend)


@pytest.fixture
def spare(head_engine: LoadedEngine) -> Card:
    """A spare that a test can break."""
    return Card(within=head_engine.backend, name="spare", max_batch=1)


def box_with(make_box: MakeBox, engine: LoadedEngine, card: Card, on_refused: OnRefused = OnRefused.FALLBACK) -> Box:
    box = make_box(engine=engine, start=False)
    box.fast = card.road(engine, on_refused=on_refused)
    box.start()
    return box


def on_duty(box: Box) -> None:
    """The card proves itself: one test picture a turn."""
    for _ in range(len(box.engine.golden) - 1):
        box.tick()
        assert state(box) == "STARTING"
    box.tick()
    assert state(box) == "ON_GPU"


def send(box: Box, token: str, chosen: slice = slice(None), *, bleeding: bool = False) -> None:
    for file in series_files(token, bleeding=bleeding)[chosen]:
        box.put(f"{token} {file.number}", file.data)


def state(box: Box) -> str:
    return str(box.triage.facts(box.clock.now())["engine_duty"])


def take(box: Box, count: int) -> None:
    """Until so many slices are safe and what can be scored is."""
    box.pass_time_until(lambda: len(box.slices()) == count)
    box.work()


def land(box: Box, count: int) -> None:
    """Until so many slices are safe, whether or not anybody scores them."""
    while len(box.slices()) < count:
        box.clock.move(0.1)
        box.tick()
        time.sleep(0.005)


def final(box: Box, series: SeriesRow) -> ReadingRow:
    return [one for one in box.readings(series) if one.finality is Finality.FINAL][-1]


def who(box: Box) -> set[str]:
    """Who has scored the slices that stand in the ledger."""
    return {row.score.backend for row in box.slices() if row.score is not None}


def serving(box: Box) -> EngineEventRow | None:
    with box.ledger.reading() as read:
        return current_engine(read)


def fault_codes(box: Box) -> dict[str, AlertState]:
    return {alert.key.first: alert.state for alert in box.alerts("technical")}


# -- batches ---------------------------------------------------------------------------------------------


def test_a_batch_says_bit_for_bit_what_each_slice_says_alone(head_engine: LoadedEngine, card: Card) -> None:
    exam = small_exam()
    places = {index: geometry_of(exam, index) for index in range(8, 16)}
    prepared = [prepare_slice(exam.hu[index], place, head_engine.card) for index, place in places.items()]
    together = score_slices(prepared, card, head_engine.card)
    alone = [read_slice(head_engine, exam.hu[index], place) for index, place in places.items()]
    assert [bits(one) for one in together] == [bits(one) for one in alone]
    assert {one.backend for one in together} == {NAME}
    assert card.sizes == [8]


def test_onnx_runtime_takes_several_and_answers_as_for_one(head_engine: LoadedEngine) -> None:
    images, *_ = head_engine.golden.prepared()
    assert head_engine.backend.max_batch == 1
    for image, answer in zip(images, head_engine.backend.run_many(images), strict=True):
        one = head_engine.backend.run(image[None])
        assert np.array_equal(one.logits, answer.logits) and np.array_equal(one.heat, answer.heat)


@pytest.mark.slow
def test_a_backlog_of_300_slices_goes_through_in_batches(make_box: MakeBox, calm: LoadedEngine, card: Card) -> None:
    """Ten scanners, and nobody may read: the slices wait. Then the card serves."""
    card.refuses = PlanRefused("The plan was built for another card")
    box = box_with(make_box, calm, card, OnRefused.FAIL)
    for number in range(10):
        send(box, f"scanner{number}")
    take(box, 10 * SLICES)
    assert who(box) == set()
    card.refuses = None
    box.clock.move(HOUR_S)
    box.hear(lambda: state(box) == "ON_GPU")
    box.work()
    tests, card.sizes = card.sizes[: len(calm.golden)], card.sizes[len(calm.golden) :]
    assert tests == [1] * len(calm.golden)
    assert sum(card.sizes) == 10 * SLICES
    assert Counter(card.sizes)[8] >= 10 * SLICES // 8 - 1, card.sizes
    box.rest(at_most_s=400)
    assert {study.outcome for study in box.studies()} == {Outcome.NO_FINDING}
    assert {final(box, series).backend for study in box.studies() for series in box.series(study)} == {NAME}
    box.assert_sound()


def test_a_single_slice_waits_for_no_other(make_box: MakeBox, calm: LoadedEngine, card: Card) -> None:
    box = box_with(make_box, calm, card)
    on_duty(box)
    card.sizes.clear()
    send(box, "single", slice(10, 11))
    take(box, 1)
    assert card.sizes == [1]
    assert who(box) == {NAME}


@pytest.mark.parametrize("by_card", [True, False])
def test_a_backlog_keeps_no_fresh_slice_of_another_exam_waiting(
    make_box: MakeBox, calm: LoadedEngine, card: Card, monkeypatch: pytest.MonkeyPatch, by_card: bool
) -> None:
    """Counted in turns: the series that is being read has one more, then the next patient has one."""
    box = box_with(make_box, calm, card) if by_card else make_box(engine=calm)
    if by_card:
        on_duty(box)
    with monkeypatch.context() as held:
        held.setattr(Scoring, "most_urgent", lambda self, now: [])
        send(box, "backlog", slice(0, 20))
        land(box, 20)
    box.tick()
    with monkeypatch.context() as held:
        held.setattr(Scoring, "most_urgent", lambda self, now: [])
        send(box, "fresh", slice(10, 11))
        land(box, 21)
    box.tick()
    _, fresh = box.studies()
    assert [row.score is not None for row in box.slices(box.series(fresh)[0])] == [True]
    assert who(box) == {NAME if by_card else calm.backend.name}
    assert any(row.score is None for row in box.slices())
    box.work()
    assert all(row.score is not None for row in box.slices())


def test_an_exam_that_an_alert_hangs_on_goes_first_and_alone(
    make_box: MakeBox, head_engine: LoadedEngine, card: Card, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of its slices is positive: the next decides, and waits for none of those that landed before it."""
    points = replace(CALM, early_pair=0.5)
    box = box_with(make_box, with_points(head_engine, points), card)
    on_duty(box)
    send(box, "bleeds", slice(16, 17), bleeding=True)
    take(box, 1)
    card.sizes.clear()
    with monkeypatch.context() as held:
        held.setattr(Scoring, "most_urgent", lambda self, now: [])
        send(box, "calm", slice(8, 14))
        land(box, 7)
        send(box, "bleeds", slice(17, 18), bleeding=True)
        land(box, 8)
    assert box.alerts() == []
    box.tick()
    assert (card.sizes, box.alert().level) == ([1], Level.CRITICAL)
    box.tick()
    assert card.sizes == [1, 6]


def test_a_batch_raises_the_alert_that_its_slices_would_have_raised_one_by_one(
    make_box: MakeBox, keen: LoadedEngine, card: Card, monkeypatch: pytest.MonkeyPatch
) -> None:
    box, plain = box_with(make_box, keen, card), make_box("plain", engine=keen)
    on_duty(box)
    card.sizes.clear()
    for one in (box, plain):
        with monkeypatch.context() as held:
            held.setattr(Scoring, "most_urgent", lambda self, now: [])
            for count, index in enumerate(range(12, 20), start=1):
                send(one, "batch", slice(index, index + 1), bleeding=True)
                land(one, count)  # one after the other: both see them in the same order
    box.tick()
    assert card.sizes == [8]
    assert all(row.score is not None for row in box.slices())
    plain.work()
    (early,), (plain_early,) = (
        [read for read in one.readings(one.series()[0]) if read.finality is Finality.PROVISIONAL]
        for one in (box, plain)
    )
    assert early.backend == NAME
    assert early.slices == plain_early.slices < 8
    assert early.probabilities == plain_early.probabilities
    assert early.finding == plain_early.finding


@pytest.mark.parametrize("fast", [True, False])
def test_the_spare_reads_while_it_is_asked_whether_a_card_can(
    make_box: MakeBox, calm: LoadedEngine, card: Card, fast: bool
) -> None:
    """The driver may hang for seconds, and a scan be under way."""
    said = threading.Event()

    def choice() -> Choice:
        assert said.wait(60)
        return Choice(fast=fast, why="it was asked")

    box = make_box(engine=calm, start=False)
    box.fast, box.choosing = card.road(calm), Choosing(choice)
    box.start()
    send(box, "meanwhile", slice(8, 11))
    take(box, 3)
    assert (state(box), who(box), card.starts) == ("CHOOSING", {calm.backend.name}, 0)
    said.set()
    box.hear(lambda: state(box) == ("ON_GPU" if fast else "SPARE_ONLY"), within_s=60)
    assert box.alerts("technical") == []


# -- a loss ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lost", [LOST, Fault("engine-fault", "the graphics card answered with no number")])
def test_a_card_lost_in_the_middle_of_a_scan(make_box: MakeBox, keen: LoadedEngine, card: Card, lost: Fault) -> None:
    """The slice in flight is read by the spare in the same turn; the alert stands; no reading mixes two backends."""
    box = box_with(make_box, keen, card)
    on_duty(box)
    assert state(box) == "ON_GPU"
    send(box, "scan", slice(0, 20), bleeding=True)
    take(box, 20)
    assert who(box) == {NAME}
    assert box.alert().sounds
    spare = keen.backend.name

    card.breaks = lost
    send(box, "scan", slice(20, None), bleeding=True)
    take(box, SLICES)
    assert who(box) == {spare}
    assert all(row.score is not None for row in box.slices())
    assert state(box) == "DEGRADED"
    assert fault_codes(box) == {FELL_BACK: AlertState.FAULT_UNSEEN}
    assert card.closed >= 1
    event = serving(box)
    assert event is not None
    assert (event.kind, event.backend, event.details["why"]) == ("BACKEND", spare, lost.message)

    card.breaks = None
    box.pass_time_until(lambda: state(box) == "ON_GPU", at_most_s=6.0)
    assert fault_codes(box) == {FELL_BACK: AlertState.MENDED}
    event = serving(box)
    assert event is not None and event.backend == NAME
    box.rest()
    (series,) = box.series()
    assert (final(box, series).backend, final(box, series).slices) == (spare, SLICES), "who began it ends it"
    happened = [event.happening for event in box.events() if event.alert_id == box.alert().id]
    assert Happening.DOUBTED not in happened and Happening.WITHDRAWN not in happened
    assert len([event for event in box.events() if event.sounds and event.level is Level.CRITICAL]) == 1

    send(box, "next")
    box.rest()
    last = box.studies()[-1]
    assert final(box, box.series(last)[0]).backend == NAME
    box.assert_sound()


def test_a_card_lost_at_any_slice_leaves_one_alert_and_one_backend(
    make_box: MakeBox, keen: LoadedEngine, card: Card
) -> None:
    """Lost at its first answer, its second, ...; and back again in between. What the exam comes to is the same."""
    chosen = slice(14, 22)
    plain = make_box("plain", engine=keen)
    send(plain, "any", chosen, bleeding=True)
    plain.rest()
    expected = final(plain, plain.series()[0]).probabilities
    for lost_at in range(1, 10):
        box = make_box(f"lost{lost_at}", engine=keen, start=False)
        box.fast = card.road(keen)
        box.start()
        on_duty(box)
        card.breaks_after, card.breaks = lost_at, LOST
        send(box, "any", chosen, bleeding=True)
        box.pass_time_until(lambda box=box: len(box.slices()) == 8 and not box.triage.has_work())
        card.breaks = None
        box.rest()
        (series,) = box.series()
        last = final(box, series)
        assert who(box) == {last.backend} == {NAME if lost_at == 9 else keen.backend.name}, lost_at
        assert last.probabilities == expected
        assert len([event for event in box.events() if event.sounds and event.level is Level.CRITICAL]) == 1
        assert not {event.happening for event in box.events()} & {Happening.DOUBTED, Happening.WITHDRAWN}
        box.assert_sound()
        box.close()


def test_an_idle_card_that_dies_is_told_before_the_next_patient(
    make_box: MakeBox, calm: LoadedEngine, card: Card
) -> None:
    box = box_with(make_box, calm, card)
    on_duty(box)
    card.is_dead = True
    box.pass_time(2.0)
    assert FELL_BACK in fault_codes(box)
    box.pass_time(2.0)
    assert card.starts == 2, "and tried again after a second"


def test_a_scan_that_the_spare_has_begun_it_ends(make_box: MakeBox, calm: LoadedEngine, card: Card) -> None:
    card.is_up = False
    box = box_with(make_box, calm, card)
    send(box, "begun", slice(0, 10))
    take(box, 10)
    assert (state(box), who(box)) == ("STARTING", {calm.backend.name})
    card.is_up = True
    on_duty(box)
    send(box, "begun", slice(10, None))
    box.rest()
    assert who(box) == {calm.backend.name}
    assert [one.backend for one in box.readings(box.series()[0])] == [calm.backend.name]


def test_after_a_restart_without_the_card_open_exams_are_read_anew(
    make_box: MakeBox, calm: LoadedEngine, card: Card
) -> None:
    box = box_with(make_box, calm, card)
    on_duty(box)
    send(box, "restart", slice(0, 20))
    take(box, 20)
    assert who(box) == {NAME}
    card.is_up = False
    box.restart()
    box.work()
    assert who(box) == {calm.backend.name}
    send(box, "restart", slice(20, None))
    box.rest()
    assert final(box, box.series()[0]).backend == calm.backend.name
    box.assert_sound()


def test_a_restart_tells_of_the_same_loss_no_second_time(make_box: MakeBox, calm: LoadedEngine, card: Card) -> None:
    """While the card is on its way up the fault is not mended yet."""
    card.refuses = LOST
    box = box_with(make_box, calm, card)
    box.tick()
    assert fault_codes(box) == {FELL_BACK: AlertState.FAULT_UNSEEN}
    card.refuses, card.is_up = None, False
    box.restart()
    box.pass_time(2.0)
    assert (state(box), fault_codes(box)) == ("STARTING", {FELL_BACK: AlertState.FAULT_UNSEEN})
    card.is_dead = True
    box.tick()
    assert state(box) == "DEGRADED"
    assert len([event for event in box.events() if event.happening is Happening.RAISED]) == 1


def test_a_late_slice_of_an_exam_that_a_lost_card_has_read(make_box: MakeBox, calm: LoadedEngine, card: Card) -> None:
    box = box_with(make_box, calm, card)
    on_duty(box)
    send(box, "late", slice(0, 29))
    box.rest()
    card.is_dead = True
    box.pass_time(3.0)
    send(box, "late", slice(29, None))
    box.rest()
    (series,) = box.series()
    read = [(one.revision, one.slices, one.backend) for one in box.readings(series)]
    assert read == [(1, 29, NAME), (2, 30, calm.backend.name)]
    fresh = make_box("fresh", engine=calm)
    send(fresh, "late")
    fresh.rest()
    assert final(box, series).probabilities == final(fresh, fresh.series()[0]).probabilities


def test_an_exam_that_holds_scores_of_both_is_read_anew(make_box: MakeBox, calm: LoadedEngine, card: Card) -> None:
    """As a crash may leave it: some slices were read anew by the other backend, the rest not yet."""
    box = box_with(make_box, calm, card)
    on_duty(box)
    send(box, "both", slice(0, 29))
    box.rest()
    row = box.slices()[3]
    assert row.score is not None
    with box.ledger.writing() as write:
        score_slice(write, row.id, replace(row.score, backend=calm.backend.name), {})
    assert who(box) == {NAME, calm.backend.name}
    send(box, "both", slice(29, None))
    box.rest()
    assert who(box) == {NAME}
    assert [(one.revision, one.slices) for one in box.readings(box.series()[0])] == [(1, 29), (2, 30)]


def test_a_card_that_keeps_breaking_is_tried_at_growing_pauses(
    make_box: MakeBox, calm: LoadedEngine, card: Card
) -> None:
    card.refuses = LOST
    box = box_with(make_box, calm, card)
    box.tick()
    starts = []
    for pause_s in (1.0, 5.0, 30.0, 300.0, 3600.0, 3600.0):
        box.clock.move(pause_s - 0.5)
        box.tick()
        starts.append(card.starts)
        box.clock.move(0.6)
        box.tick()
        box.tick()
        starts.append(card.starts)
    assert starts == [1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7]
    assert len(box.alerts("technical")) == 1, "one alert, however often"


def test_a_card_lost_while_the_ledger_cannot_be_written(
    make_box: MakeBox, keen: LoadedEngine, card: Card, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two failures at once: the spare reads all the same, and the alert is told from memory until it is recorded."""
    box = box_with(make_box, keen, card)
    on_duty(box)
    send(box, "both", slice(15, 16), bleeding=True)
    take(box, 1)
    with monkeypatch.context() as held:
        held.setattr(Scoring, "most_urgent", lambda self, now: [])
        send(box, "both", slice(16, 19), bleeding=True)
        land(box, 4)
    card.breaks = LOST
    with held_by_another(box.settings.database):
        for _ in range(4):
            box.tick()
        assert state(box) == "DEGRADED"
        assert [one.level for one in box.triage.keeping.unrecorded] == [Level.CRITICAL]
        assert box.alerts() == []
    box.pass_time(3.0)
    assert box.alert().level is Level.CRITICAL
    assert who(box) == {keen.backend.name}
    assert FELL_BACK in fault_codes(box)
    event = serving(box)
    assert event is not None and (event.kind, event.backend) == ("BACKEND", keen.backend.name)
    box.rest()
    box.assert_sound()


def test_what_a_lost_card_found_positive_is_read_anew_before_all_else(
    make_box: MakeBox, head_engine: LoadedEngine, card: Card, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The alert was one slice away. It takes the spare two slices, not all that the card had read."""
    box = box_with(make_box, with_points(head_engine, replace(CALM, early_pair=0.5)), card)
    on_duty(box)
    send(box, "near", slice(4, 10), bleeding=True)
    take(box, 6)
    send(box, "near", slice(16, 17), bleeding=True)
    take(box, 7)
    assert (who(box), box.alerts()) == ({NAME}, [])
    card.breaks = LOST
    with monkeypatch.context() as held:
        held.setattr(Scoring, "most_urgent", lambda self, now: [])
        send(box, "near", slice(17, 18), bleeding=True)
        land(box, 8)
    box.tick()
    assert (state(box), box.alerts()) == ("DEGRADED", [])
    box.tick()
    assert box.alert().level is Level.CRITICAL
    assert [row.score is not None for row in box.slices()].count(True) == 2
    box.rest()
    assert who(box) == {head_engine.backend.name}


def test_after_a_loss_new_slices_come_before_those_that_are_read_anew(
    make_box: MakeBox, calm: LoadedEngine, card: Card, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the card has read was negative. What it has not read may bleed: of this exam, and of others."""
    box = box_with(make_box, calm, card)
    on_duty(box)
    send(box, "first", slice(0, 5))
    take(box, 5)
    card.breaks = LOST
    with monkeypatch.context() as held:
        held.setattr(Scoring, "most_urgent", lambda self, now: [])
        for count, (token, index) in enumerate([("first", 5), ("first", 6), ("second", 5)], start=6):
            send(box, token, slice(index, index + 1))
            land(box, count)
    fresh = {row.id for row in box.slices()[5:]} & {row.id for row in box.slices() if row.score is None}
    box.tick()
    assert len([row for row in box.slices() if row.score is not None]) == 1, "the spare takes one a turn"
    for _ in range(2):
        box.tick()
    assert {row.id for row in box.slices() if row.score is not None} == fresh
    box.work()
    assert all(row.score is not None for row in box.slices())


def test_an_exam_that_is_only_listed_still_hangs_on_its_next_slice(
    make_box: MakeBox, head_engine: LoadedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """REVIEW makes no sound. The late slice that makes it CRITICAL waits for none of another exam."""
    box = make_box(engine=with_points(head_engine, replace(CALM, review=1e-9, early_pair=0.5)))
    send(box, "listed", slice(5, 10), bleeding=True)
    send(box, "listed", slice(16, 17), bleeding=True)
    box.pass_time_until(lambda: box.alerts() != [])
    assert (box.alert().level, box.triage.open_studies) == (Level.REVIEW, 1)
    with monkeypatch.context() as held:
        held.setattr(Scoring, "most_urgent", lambda self, now: [])
        send(box, "calm", slice(8, 12))
        land(box, 10)
        send(box, "listed", slice(17, 18), bleeding=True)
        land(box, 11)
    box.tick()
    assert box.alert().level is Level.CRITICAL


def test_an_exam_that_has_been_told_of_goes_before_no_other_after_a_restart(
    make_box: MakeBox, keen: LoadedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = make_box(engine=keen)
    send(box, "told", slice(15, 18), bleeding=True)
    take(box, 3)
    assert box.alert().sounds
    send(box, "told", slice(18, 22), bleeding=True)
    send(box, "fresh", slice(15, 16))
    box.restart()
    with monkeypatch.context() as held:
        held.setattr(Scoring, "most_urgent", lambda self, now: [])
        land(box, 8)
    for _ in range(2):  # a turn each
        box.tick()
    told, fresh = sorted(box.studies(), key=lambda study: len(box.slices(box.series(study)[0])), reverse=True)
    assert [row.score is not None for row in box.slices(box.series(fresh)[0])] == [True]
    assert [row.score is not None for row in box.slices(box.series(told)[0])].count(False) == 3


def test_a_spare_that_does_not_answer_hands_its_series_over(
    make_box: MakeBox, calm: LoadedEngine, spare: Card, card: Card
) -> None:
    """Begun by the spare, which fails while the card serves: the card reads it from its beginning."""
    card.is_up = False
    box = box_with(make_box, replace(calm, backend=spare), card)
    send(box, "begun", slice(0, 10))
    take(box, 10)
    assert who(box) == {spare.name}
    card.is_up = True
    on_duty(box)
    spare.breaks = Fault("engine-fault", "it answered with no number")
    send(box, "begun", slice(10, None))
    box.rest()
    (series,) = box.series()
    assert (who(box), final(box, series).backend, final(box, series).slices) == ({NAME}, NAME, SLICES)
    assert box.study().outcome is Outcome.NO_FINDING
    assert fault_codes(box) == {"engine-fault": AlertState.MENDED}


def test_a_series_is_handed_over_once(make_box: MakeBox, calm: LoadedEngine, spare: Card, card: Card) -> None:
    """One of its slices nobody answers for. That must not end the card again and again, for all other patients."""
    card.is_up = False
    box = box_with(make_box, replace(calm, backend=spare), card)
    send(box, "odd", slice(0, 5))
    take(box, 5)
    card.is_up = True
    on_duty(box)
    spare.knows = card.knows = spare.answered | card.answered
    send(box, "odd", slice(5, 6))
    land(box, 6)
    box.rest(at_most_s=900)
    assert (card.starts, state(box)) == (2, "ON_GPU"), "lost once, and back"
    assert (who(box), box.study().outcome) == ({spare.name}, Outcome.INCOMPLETE)
    assert [code for code, _ in box.study().reasons].count("engine-fault") == 1


def test_a_box_in_which_nobody_answers_is_blind(make_box: MakeBox, calm: LoadedEngine, spare: Card, card: Card) -> None:
    box = box_with(make_box, replace(calm, backend=spare), card)
    on_duty(box)
    card.breaks, spare.breaks = LOST, Fault("engine-fault", "it answered with no number")
    send(box, "blind", slice(10, 12))
    land(box, 2)
    box.pass_time(5.0)
    (fault,) = [alert for alert in box.alerts("technical") if alert.key.first == "engine-fault"]
    assert fault.details["blind"] == "yes"
    spare.breaks = None
    box.rest()
    assert who(box) == {spare.name}
    assert fault_codes(box)["engine-fault"] is AlertState.MENDED


def test_a_slice_that_was_given_up_holds_up_no_other_while_the_ledger_fails(
    make_box: MakeBox, keen: LoadedEngine, spare: Card, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its series was judged without it. Now it is answered for, nothing can be written, and another patient bleeds."""
    box = make_box(engine=replace(keen, backend=spare))
    spare.breaks = Fault("engine-fault", "it did not answer")
    send(box, "given up", slice(15, 16))
    box.pass_time_until(lambda: bool(box.studies()) and bool(box.readings(box.series()[0])))
    spare.breaks = None
    with monkeypatch.context() as held:
        held.setattr(Scoring, "most_urgent", lambda self, now: [])
        send(box, "bleeds", slice(15, 17), bleeding=True)
        land(box, 3)
    box.clock.move(ENGINE_AGAIN_S)
    with held_by_another(box.settings.database):
        for _ in range(4):
            box.tick()
        assert [one.level for one in box.triage.keeping.unrecorded] == [Level.CRITICAL]
    box.pass_time(3.0)
    assert len(box.alerts()) == 1
    box.rest()
    first, second = box.studies()
    read = [(one.revision, one.slices) for one in box.readings(box.series(first)[0])]
    assert read[-1] == (2, 1), "and the slice that was given up has been read"
    assert box.alerts()[0].study_id == second.id
    box.assert_sound()


def test_values_of_another_shape_are_made_again_and_are_no_fault_of_the_engine(
    make_box: MakeBox, calm: LoadedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = make_box(engine=calm)
    with monkeypatch.context() as held:
        held.setattr(Scoring, "most_urgent", lambda self, now: [])
        send(box, "torn", slice(10, 11))
        land(box, 1)
    (row,) = box.slices()
    Shelf(box.settings.store_folder).put_hounsfield(np.zeros((8, 8), np.int16), row.stored)
    box.restart()
    box.work()
    assert who(box) == {calm.backend.name}
    assert box.alerts("technical") == []


# -- refused plans ---------------------------------------------------------------------------------------


def test_fallback_reads_on_and_tells(make_box: MakeBox, calm: LoadedEngine, card: Card) -> None:
    card.refuses = PlanRefused("The plan was built for another card. Build it anew: python build_engine.py")
    box = box_with(make_box, calm, card, OnRefused.FALLBACK)
    send(box, "fallback")
    box.rest()
    assert final(box, box.series()[0]).backend == calm.backend.name
    assert (state(box), fault_codes(box)) == ("DEGRADED", {FELL_BACK: AlertState.FAULT_UNSEEN})
    assert "another card" in str(box.triage.facts(box.clock.now())["engine_why"])
    card.refuses = None
    box.pass_time_until(lambda: state(box) == "ON_GPU", at_most_s=HOUR_S + 10)
    assert fault_codes(box) == {FELL_BACK: AlertState.MENDED}


def test_fail_lets_nobody_read_and_makes_the_box_blind(make_box: MakeBox, calm: LoadedEngine, card: Card) -> None:
    card.refuses = PlanRefused("There is no plan for this engine")
    box = box_with(make_box, calm, card, OnRefused.FAIL)
    send(box, "fail")
    take(box, SLICES)
    assert state(box) == "STOPPED"
    assert all(row.score is None for row in box.slices()), "every file is safe, and none is read"
    assert fault_codes(box) == {"engine-refused": AlertState.FAULT_UNSEEN}
    box.pass_time(60)
    assert box.study().outcome is None
    card.refuses, card.is_up = None, False
    box.clock.move(HOUR_S)
    box.tick()
    box.tick()
    assert (card.starts, state(box)) == (2, "STOPPED"), "nobody reads while it is tried again"
    card.is_up = True
    box.rest()
    assert box.study().outcome is Outcome.NO_FINDING
    assert fault_codes(box) == {"engine-refused": AlertState.MENDED}


def test_a_plan_with_wrong_answers_is_refused(make_box: MakeBox, calm: LoadedEngine, card: Card, wrong: Wrong) -> None:
    card.within = wrong
    box = box_with(make_box, calm, card)
    box.tick()
    assert state(box) == "DEGRADED"
    said = box.triage.facts(box.clock.now())
    assert "wrong answers to its test pictures" in str(said["engine_why"])
    assert said["engine_retry_s"] == HOUR_S, "a plan does not mend within seconds"
    assert card.closed >= 1


@pytest.mark.parametrize("works", [True, False])
def test_rebuild_builds_in_a_process_of_its_own_while_the_spare_reads(
    make_box: MakeBox, calm: LoadedEngine, card: Card, tmp_path: Path, works: bool
) -> None:
    """The builder here is a small program that writes the plan the card waits for, or fails."""
    plan = tmp_path / "plan"
    go = tmp_path / "go"
    program = (
        "import pathlib, sys, time\n"
        f"print('halfway', flush=True)\n"
        f"while not pathlib.Path({str(go)!r}).exists(): time.sleep(0.01)\n"
        + (f"pathlib.Path({str(plan)!r}).touch(); print('a plan stands')" if works else "sys.exit('no card is free')")
    )
    builds: list[PlanBuild] = []

    def build(now_s: float) -> PlanBuild:
        builds.append(PlanBuild([sys.executable, "-c", program], tmp_path / "log", now_s))
        return builds[-1]

    card.refuses = PlanRefused("The plan was built for another card.")
    box = make_box(engine=calm, start=False)
    box.fast = card.road(calm, on_refused=OnRefused.REBUILD, build=build)
    box.start()
    box.tick()
    assert state(box) == "REBUILDING"
    assert FELL_BACK in fault_codes(box)
    send(box, "meanwhile", slice(0, 5))
    take(box, 5)
    assert who(box) == {calm.backend.name}
    box.hear(lambda: box.triage.facts(box.clock.now()).get("engine_build") == "halfway", within_s=60)
    if works:
        card.refuses = None
    go.touch()
    box.hear(lambda: state(box) == ("ON_GPU" if works else "DEGRADED"), within_s=60)
    assert len(builds) == 1
    assert plan.exists() == works
    if works:
        assert fault_codes(box) == {FELL_BACK: AlertState.MENDED}
    else:
        assert "no card is free" in str(box.triage.facts(box.clock.now())["engine_why"])
        box.clock.move(HOUR_S + 1)
        box.tick()
        box.tick()
        assert (state(box), len(builds)) == ("DEGRADED", 1), "it would fail in the same way again"


def test_a_build_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    words = "print('working\\x1b[31m on it', flush=True); import time; time.sleep(600)"
    build = PlanBuild([sys.executable, "-c", words], tmp_path / "log", 0.0)
    wait_for(lambda: build.said == "working[31m on it", within_s=60)
    assert build.poll(BUILD_LONGEST_S - 1.0) is None
    end = build.poll(BUILD_LONGEST_S)
    assert end is not None and not end.built
    assert end.said == "the build took longer than 60 minutes"
    wait_for(lambda: build.poll(0.0) is not None, within_s=20)


def test_a_builder_that_is_not_there_is_a_build_that_failed(tmp_path: Path) -> None:
    build = PlanBuild([str(tmp_path / "nobody")], tmp_path / "log", 0.0)
    wait_for(lambda: build.poll(0.0) is not None, within_s=60)
    end = build.poll(0.0)
    assert end is not None and not end.built
    assert "No such file or directory" in end.said


def test_a_build_ends_with_the_box(make_box: MakeBox, calm: LoadedEngine, card: Card, tmp_path: Path) -> None:
    builds: list[PlanBuild] = []

    def build(now_s: float) -> PlanBuild:
        builds.append(PlanBuild([sys.executable, "-c", "import time; time.sleep(600)"], tmp_path / "log", now_s))
        return builds[-1]

    card.refuses = PlanRefused("none")
    box = make_box(engine=calm, start=False)
    box.fast = card.road(calm, on_refused=OnRefused.REBUILD, build=build)
    box.start()
    box.tick()
    box.tick()
    assert builds[0].poll(box.clock.now().monotonic_s) is None
    box.triage.close()
    wait_for(lambda: builds[0].poll(box.clock.now().monotonic_s) is not None, within_s=20)


# -- the hourly test ---------------------------------------------------------------------------------------


def test_both_are_held_against_their_test_pictures_each_hour(make_box: MakeBox, calm: LoadedEngine, card: Card) -> None:
    box = box_with(make_box, calm, card)
    on_duty(box)
    with box.ledger.reading() as read:
        first = last_golden(read)
    assert first is not None and first.backend == NAME
    for _ in range(len(calm.golden)):
        box.clock.move(HOUR_S / len(calm.golden) + 1)
        box.tick()
    with box.ledger.reading() as read:
        last = last_golden(read)
    assert last is not None
    assert last.id >= first.id + 2, "one of the card and one of the spare"
    assert float(last.details["largest"]) <= float(last.details["allowed"])


def test_a_card_that_begins_to_answer_wrongly_is_left(
    make_box: MakeBox, calm: LoadedEngine, card: Card, wrong: Wrong
) -> None:
    box = box_with(make_box, calm, card)
    on_duty(box)
    card.within = wrong
    box.clock.move(HOUR_S / len(calm.golden) + 1)
    box.tick()
    assert (state(box), fault_codes(box)) == ("DEGRADED", {FELL_BACK: AlertState.FAULT_UNSEEN})


def test_a_spare_that_begins_to_answer_wrongly_ends_the_program_and_blinds_the_box(
    make_box: MakeBox, calm: LoadedEngine, wrong: Wrong
) -> None:
    """A program that is started again reads the engine from the disk, and proves it anew."""
    box = make_box(engine=calm, start=False)
    box.engine = replace(calm, backend=wrong)
    box.start()
    box.clock.move(HOUR_S / len(calm.golden) + 1)
    with pytest.raises(Fault, match="wrong answers to its test pictures"):
        box.tick()
    (alert,) = box.alerts("technical")
    assert (alert.key.first, alert.details["blind"]) == ("engine-golden-failed", "yes")
    box.engine = calm
    box.restart()
    assert box.alerts("technical")[0].state is AlertState.MENDED


def test_a_live_slice_waits_for_no_test_picture(
    make_box: MakeBox, calm: LoadedEngine, spare: Card, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are due in the same turn: the slice is asked for, and the picture in the next."""
    pictures = {hash(image.tobytes()) for image in calm.golden.prepared()[0]}
    box = make_box(engine=replace(calm, backend=spare))
    with monkeypatch.context() as held:
        held.setattr(Scoring, "most_urgent", lambda self, now: [])
        send(box, "live", slice(10, 11))
        land(box, 1)
    box.clock.move(HOUR_S / len(calm.golden) + 1)
    spare.answered.clear()
    box.tick()
    assert (len(spare.answered), spare.answered & pictures) == (1, set())
    box.tick()
    assert len(spare.answered & pictures) == 1


def test_a_picture_of_the_test_waits_for_slices_but_not_for_ever(calm: LoadedEngine) -> None:
    test = SelfTest(calm.golden, 0.0)
    due_s = HOUR_S / len(calm.golden)
    assert not test.is_due(due_s - 1.0, idle=True)
    assert test.is_due(due_s, idle=True)
    assert not test.is_due(due_s, idle=False)
    assert test.is_due(due_s + PATIENCE_S, idle=False)
    assert test.hold_next(calm.backend, due_s) is None
    assert not test.is_due(due_s + PATIENCE_S, idle=False)
