"""Any order, any repetition, any interleaving of two studies, any restart: the same ledger, the same alerts."""

from dataclasses import dataclass
from functools import cache
from itertools import count

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.core.words import Finality, Level
from appliance.inference.loading import LoadedEngine
from appliance.phantoms.dicom import PhantomFile
from tests.conftest import MakeBox
from tests.phantom_exams import series_files
from tests.real.appliance import KEEN, Box, with_points

_numbers = count()


@cache
def files() -> list[PhantomFile]:
    """Two studies of 14 slices; one is the other's twin without its bleed."""
    return [*series_files("bleeds")[2::2], *series_files("twin", bleeding=False)[2::2]]


@dataclass(frozen=True)
class StudyFacts:
    """What the ledger must say of a study whatever the order. Numbers of rows and times may differ."""

    study_uid: str
    outcome: str
    reasons: str
    verdict: str
    probabilities: tuple[float, ...]
    key: tuple[str, str, int]
    slices: tuple[tuple[str, tuple[float, ...]], ...]
    alert: tuple[Level, bool, bool]


def facts_of(box: Box) -> set[StudyFacts]:
    found = set()
    alerts = {alert.study_id: alert for alert in box.alerts()}
    assert len(alerts) == len(box.alerts()), "one alert for a study"
    for study in box.studies():
        (series,) = box.series(study)
        last = [one for one in box.readings(series) if one.finality is Finality.FINAL][-1]
        assert last.finding is not None and study.outcome is not None
        alert = alerts[study.id]
        scores = sorted((row.sop_uid, row.score.probabilities) for row in box.slices(series) if row.score)
        found.add(
            StudyFacts(
                study_uid=study.facts.study_uid,
                outcome=study.outcome.value,
                reasons=repr(study.reasons),
                verdict=series.verdict.value,
                probabilities=last.probabilities,
                key=(last.finding.label, last.finding.side.value, last.finding.key_number),
                slices=tuple(scores),
                alert=(alert.level, alert.sounds, alert.withdrawn),
            )
        )
    return found


_reference: list[set[StudyFacts]] = []


def in_plain_order(make_box: MakeBox, engine: LoadedEngine) -> set[StudyFacts]:
    """What the two studies come to one after the other, without any trouble."""
    if not _reference:
        box = make_box("plain", engine=engine)
        for number, file in enumerate(files()):
            box.put(f"IM{number}", file.data)
        box.rest()
        _reference.append(facts_of(box))
        assert len(_reference[0]) == 2
    return _reference[0]


@settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    order=st.permutations(range(28)),
    again=st.lists(st.integers(0, 27), max_size=6),
    crashes=st.sets(st.integers(1, 33), max_size=2),
    pauses_s=st.dictionaries(st.integers(0, 33), st.floats(0.1, 40.0), max_size=3),
)
def test_the_ledger_does_not_know_the_order(
    make_box: MakeBox,
    head_engine: LoadedEngine,
    order: list[int],
    again: list[int],
    crashes: set[int],
    pauses_s: dict[int, float],
) -> None:
    engine = with_points(head_engine, KEEN)
    expected = in_plain_order(make_box, engine)
    box = make_box(f"box{next(_numbers)}", engine=engine, watched=True)
    for step, index in enumerate([*order, *again]):
        box.put(f"IM{step}", files()[index].data)
        box.tick()
        if step in crashes:
            box.restart()
        if step in pauses_s:
            box.pass_time(pauses_s[step])
    box.rest()
    assert facts_of(box) == expected
    assert box.sums() == {"TAKEN": 28} | ({"DUPLICATE": len(again)} if again else {})
    box.assert_sound(*[file.data for file in files()])
    box.close()
