"""The same set of slices gives the same answer, bit for bit, in whatever order it lands."""

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.core.evidence import Evidence, early_evidence, finding_of
from appliance.core.ledger import Finding, SliceRow
from appliance.reading.exam_reader import ExamReading, read_exam
from tests.scored import CARD, POINTS, blob, scored

# Few values, so that repeats, ties and near places come often.
_PLACES_MM = st.one_of(
    st.sampled_from([0.0, 0.03, 0.06, 2.5, 5.0, 5.049, 7.5, 10.0, 15.0]), st.floats(-80, 80, allow_nan=False)
)
_CHANCES = st.one_of(st.sampled_from([0.02, 0.6, 0.95, 0.97, 0.9995]), st.floats(0.0, 1.0))


@st.composite
def _slices(draw: st.DrawFn) -> list[SliceRow]:
    count = draw(st.integers(1, 12))
    return [
        scored(
            number,
            draw(_PLACES_MM),
            draw(_CHANCES),
            heat=blob(draw(st.sampled_from([28, 30])), draw(st.sampled_from([10, 12, 28, 45])), value=200),
            kinds=(draw(_CHANCES), 0.1, draw(_CHANCES), 0.1, 0.2),
            has_brain=draw(st.sampled_from([True, True, True, False])),
            sop_uid=f"2.25.{draw(st.integers(1, 4))}",
        )
        for number in range(1, count + 1)
    ]


def _landed(rows: list[SliceRow]) -> list[SliceRow]:
    """The ledger numbers slices as they land."""
    return [replace(row, id=number) for number, row in enumerate(rows, start=1)]


def _said(rows: list[SliceRow]) -> tuple[bytes, int, object, object]:
    """All answers, with slices named by what they are: their ids are those of their landing."""
    name = {row.id: (row.sop_uid, row.pixel_sha256) for row in rows}
    exam: ExamReading = read_exam(rows, CARD)
    evidence: Evidence | None = early_evidence(rows, POINTS)
    finding: Finding | None = finding_of(rows, POINTS, evidence)
    return (
        np.array(exam.probabilities).tobytes(),
        exam.slices,
        evidence and tuple(name[slice_id] for slice_id in evidence.slice_ids),
        finding and (finding.label, finding.side, finding.key_number, name[finding.key_slice_id]),
    )


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_any_order_of_landing_gives_the_same_answer(data: st.DataObject) -> None:
    rows = data.draw(_slices())
    other = data.draw(st.permutations(rows))
    assert _said(_landed(rows)) == _said(_landed(other))


@settings(deadline=None, max_examples=100)
@given(st.data())
def test_after_each_slice_the_answer_is_that_of_the_set_so_far(data: st.DataObject) -> None:
    rows = data.draw(_slices())
    cut = data.draw(st.integers(1, len(rows)))
    prefix = rows[:cut]
    assert _said(_landed(prefix)) == _said(_landed(data.draw(st.permutations(prefix))))


@settings(deadline=None, max_examples=100)
@given(_slices())
def test_a_slice_that_has_no_score_yet_changes_nothing_but_itself(rows: list[SliceRow]) -> None:
    waiting = replace(scored(99, 3.0, 0.9999, heat=blob(28, 28)), score=None)
    assert _said(_landed(rows)) == _said(_landed([*rows, waiting]))


@settings(deadline=None, max_examples=100)
@given(_slices())
def test_a_repeat_with_the_same_answer_changes_no_probability(rows: list[SliceRow]) -> None:
    again = [replace(row, sop_uid=f"{row.sop_uid}.9", pixel_sha256="f" * 64) for row in rows]
    assert read_exam([*rows, *again], CARD).probabilities == read_exam(rows, CARD).probabilities
