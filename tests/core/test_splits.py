"""Folds by patient: the same for the same patients, even, and nobody on both sides."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.core.errors import CannotStart
from appliance.training.splits import Leakage, Trace, folds_of, pictures_of, refuse_leakage

patients = st.dictionaries(st.text(max_size=8), st.booleans(), min_size=6, max_size=60)
TRAINED = Trace(source="ours", exam="a/1.dcm", patient="DOE^JANE", held_out=False, pictures=frozenset({"1", "2"}))
JUDGED = Trace(source="ours", exam="b/1.dcm", patient="ROE^RICHARD", held_out=True, pictures=frozenset({"3"}))


@given(patients, st.integers(2, 6), st.integers(0, 9), st.randoms(use_true_random=False))
def test_folds_are_even_in_those_who_bleed_and_in_all_and_know_no_order(
    bleeds: dict[str, bool], folds: int, seed: int, random: object
) -> None:
    found = folds_of("ours", bleeds, folds, seed)
    shuffled = list(bleeds.items())
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert folds_of("ours", dict(shuffled), folds, seed) == found
    assert found.keys() == bleeds.keys()
    for chosen in (list(bleeds), [one for one in bleeds if bleeds[one]], [one for one in bleeds if not bleeds[one]]):
        counts = np.bincount([found[one] for one in chosen], minlength=folds)
        assert counts.size == folds and counts.max() - counts.min() <= 1


def test_the_seed_and_the_source_deal_anew() -> None:
    bleeds = {f"p{number}": number % 3 == 0 for number in range(40)}
    first = folds_of("ours", bleeds, 5, 0)
    assert first != folds_of("ours", bleeds, 5, 1) and first != folds_of("theirs", bleeds, 5, 0)


def test_fewer_patients_than_folds_are_refused_in_words() -> None:
    with pytest.raises(CannotStart, match="Source ours has 1 patients, 5 folds"):
        folds_of("ours", {"ANONYMOUS": True}, 5, 0)


def test_a_patient_of_another_source_is_another_one() -> None:
    theirs = replace(TRAINED, source="theirs", patient="ROE^RICHARD", exam="c")
    refuse_leakage([TRAINED, JUDGED, theirs])
    with pytest.raises(Leakage):
        refuse_leakage([TRAINED, JUDGED, replace(theirs, source=JUDGED.source)])


def test_a_patient_on_both_sides_is_told_by_rows_and_never_by_name() -> None:
    with pytest.raises(Leakage) as refused:
        refuse_leakage([TRAINED, JUDGED, replace(JUDGED, exam="b/2.dcm", held_out=False, pictures=frozenset())])
    assert str(refused.value).startswith("1 patient is trained on and held out (ours: b/1.dcm, ours: b/2.dcm). Give")
    assert "ROE" not in str(refused.value)


def test_a_picture_under_two_names_is_told_across_sources() -> None:
    again = replace(TRAINED, source="theirs", patient="X", exam="copy.png", held_out=True, pictures=frozenset({"2"}))
    with pytest.raises(Leakage, match=r"1 picture is trained on and held out \(ours: a/1.dcm, theirs: copy.png\)"):
        refuse_leakage([TRAINED, JUDGED, again])


def test_of_many_rows_a_few_are_named() -> None:
    both = [replace(TRAINED, exam=f"{side}{number}", patient=f"{number}", held_out=side == "h") for side in "th" for number in range(9)]  # fmt: skip
    with pytest.raises(Leakage, match=r"9 patients are .* and 12 more\), and 2 pictures are"):
        refuse_leakage(both)


def test_pictures_are_known_by_their_pixels_and_empty_ones_by_nothing() -> None:
    hu = np.zeros((3, 4, 5), dtype=np.int16)
    hu[1, 2, 2] = 60
    hu[2] = hu[1]
    hu[2, 0, 0] = 1
    found = pictures_of(hu)
    assert len(found) == 2 and found == pictures_of(hu[::-1].copy(order="F"))
    assert pictures_of(hu[:1]) == frozenset() and found.isdisjoint(pictures_of(hu.reshape(3, 5, 4)))
