"""What a study came to: the order of the words."""

import itertools

import pytest

from appliance.core.ledger import Finding, Reasons
from appliance.core.outcome import LEAST_SLICES, SeriesStanding, has_enough_slices, least_slices, study_outcome
from appliance.core.reasons import Of, reason, sentence
from appliance.core.words import Level, Outcome, SeriesVerdict, Side

READ, DECLINED = SeriesVerdict.READ, SeriesVerdict.DECLINED
FINDING = Finding(label="sdh", side=Side.LEFT, key_slice_id=7, key_number=17, evidence=(7, 8))
MISSING: Reasons = (("slices-missing", {"first": "9", "last": "11"}),)
TIMED_OUT: Reasons = (("timed-out", {"minutes": "10"}),)
FAULT: Reasons = (("engine-fault", {"slice": "4", "n": "3"}),)


def whole(
    level: Level | None = None, problems: Reasons = (), n: int = 28, unscored: int = 0, spacing_mm: float = 5.0
) -> SeriesStanding:
    return SeriesStanding(
        verdict=READ,
        places=n,
        slices=n,
        spacing_mm=spacing_mm if n > 1 else None,
        coverage_mm=(n - 1) * spacing_mm,
        unscored=unscored,
        level=level,
        finding=FINDING if level else None,
        problems=problems,
    )


def declined(code: str, may_be_head: bool, **details: str) -> SeriesStanding:
    return SeriesStanding(verdict=DECLINED, reasons=((code, details),), may_be_head=may_be_head)


def codes(reasons: Reasons) -> list[str]:
    return [code for code, _ in reasons]


def test_each_word_alone() -> None:
    assert study_outcome([whole(Level.CRITICAL)]) == (
        Outcome.CRITICAL,
        (("suspected-bleed", {"place": "under the dura", "side": "patient’s left"}),),
    )
    assert study_outcome([whole(Level.REVIEW)])[1][0][0] == "possible-bleed"
    assert study_outcome([whole()]) == (Outcome.NO_FINDING, (("none-flagged", {"n": "28"}),))
    assert study_outcome([whole(problems=MISSING)]) == (Outcome.INCOMPLETE, MISSING)
    assert study_outcome([whole(problems=TIMED_OUT)]) == (Outcome.INCOMPLETE, TIMED_OUT)
    assert study_outcome([whole(problems=FAULT)]) == (Outcome.INDETERMINATE, FAULT)
    assert study_outcome([whole()], set_aside=2) == (Outcome.INCOMPLETE, (("set-aside-file", {"n": "2"}),))
    assert study_outcome([whole(n=1)]) == (Outcome.INCOMPLETE, (("too-few-slices", {"n": "1", "least": "12"}),))


ORDER = [
    (Outcome.NOT_ANALYSED, None),
    (Outcome.INCOMPLETE, "too-few-slices"),
    (Outcome.CRITICAL, None),
    (Outcome.REVIEW, None),
    (Outcome.INCOMPLETE, None),
    (Outcome.INDETERMINATE, None),
    (Outcome.NO_FINDING, None),
]


@pytest.mark.parametrize(
    ("read", "few", "level", "missing", "set_aside", "fault"),
    list(
        itertools.product(
            [False, True], [False, True], [None, Level.REVIEW, Level.CRITICAL], [False, True], [0, 3], [False, True]
        )
    ),
)
def test_the_first_that_holds_counts_and_the_others_stand_beside(
    read: bool, few: bool, level: Level | None, missing: bool, set_aside: int, fault: bool
) -> None:
    problems = (*(MISSING if missing else ()), *(FAULT if fault else ()))
    series = [whole(level, problems, n=5 if few else 28)] if read else [declined("contrast", True)]
    outcome, reasons = study_outcome(series, set_aside=set_aside)

    holds = {
        (Outcome.NOT_ANALYSED, None): not read,
        (Outcome.INCOMPLETE, "too-few-slices"): read and few,
        (Outcome.CRITICAL, None): read and level is Level.CRITICAL,
        (Outcome.REVIEW, None): read and level is Level.REVIEW,
        (Outcome.INCOMPLETE, None): read and (missing or set_aside > 0),
        (Outcome.INDETERMINATE, None): read and fault,
        (Outcome.NO_FINDING, None): True,
    }
    expected, code = next(one for one in ORDER if holds[one])
    assert outcome is expected
    assert code is None or reasons[0][0] == code
    assert reason(Of.STUDY, reasons[0][0]).leads_to == outcome
    said = codes(reasons)
    assert len(said) == len(set(said))
    assert ("set-aside-file" in said) == (set_aside > 0)
    assert ("slices-missing" in said) == (read and missing)
    assert ("engine-fault" in said) == (read and fault)
    assert ("none-flagged" in said) == (outcome is Outcome.NO_FINDING)
    ranks = [Outcome(reason(Of.STUDY, one).leads_to) for one in said if one != "too-few-slices"]
    order = [Outcome.NOT_ANALYSED, Outcome.CRITICAL, Outcome.REVIEW, Outcome.INCOMPLETE, Outcome.INDETERMINATE]
    assert outcome is Outcome.NO_FINDING or [order.index(one) for one in ranks] == sorted(
        order.index(one) for one in ranks
    )


def test_why_nobody_read_it() -> None:
    outcome, reasons = study_outcome([declined("localizer", False), declined("contrast", True)])
    assert outcome is Outcome.NOT_ANALYSED
    assert codes(reasons) == ["no-eligible-series"]
    assert sentence(Of.STUDY, reasons[0][0], **reasons[0][1]) == (
        "A head CT landed and nobody has read it: Contrast was given. This engine reads native head CT only."
    )
    _, reasons = study_outcome([declined("localizer", False)])
    assert (codes(reasons), reasons[0][1]["reason"]) == (["no-head"], "localizer")
    _, reasons = study_outcome([declined("not-a-head", False, part="chest")])
    assert "chest" in reasons[0][1]["why"]
    assert codes(study_outcome([])[1]) == ["no-head"]


def test_a_read_series_beside_a_declined_one_decides() -> None:
    assert study_outcome([declined("bone-kernel", True), whole()])[0] is Outcome.NO_FINDING


def test_one_short_series_beside_a_whole_one_does_not_hide_a_bleed() -> None:
    outcome, reasons = study_outcome([whole(Level.CRITICAL), whole(n=3)])
    assert outcome is Outcome.CRITICAL
    assert codes(reasons) == ["suspected-bleed", "too-few-slices"]
    assert study_outcome([whole(), whole(n=3)])[0] is Outcome.INCOMPLETE


def test_a_slice_without_a_score_is_never_no_finding() -> None:
    outcome, reasons = study_outcome([whole(unscored=1)])
    assert (outcome, codes(reasons)) == (Outcome.INDETERMINATE, ["engine-fault"])


@pytest.mark.parametrize(
    ("n", "spacing_mm", "enough"),
    [
        (LEAST_SLICES, 5.0, True),
        (LEAST_SLICES - 1, 5.0, False),
        (LEAST_SLICES - 1, 10.0, False),
        (LEAST_SLICES, 10.0, True),
        (LEAST_SLICES, 1.0, False),
        (40, 1.0, False),
        (60, 1.0, True),
        (200, 0.625, True),
        (1, 5.0, False),
    ],
)
def test_how_many_slices_a_head_needs(n: int, spacing_mm: float, enough: bool) -> None:
    assert has_enough_slices(whole(n=n, spacing_mm=spacing_mm)) is enough
    assert (n >= least_slices(spacing_mm)) is enough


def test_without_a_spacing_the_count_decides() -> None:
    assert least_slices(None) == least_slices(0.0) == LEAST_SLICES


def test_a_scan_that_was_declined_speaks_before_its_scout() -> None:
    scout = SeriesStanding(verdict=SeriesVerdict.DECLINED, reasons=(("localizer", {}),), slices=1)
    bone = SeriesStanding(verdict=SeriesVerdict.DECLINED, reasons=(("bone-kernel", {}),), slices=30)
    _, reasons = study_outcome([scout, bone])
    assert reasons[0][1]["reason"] == "bone-kernel"
