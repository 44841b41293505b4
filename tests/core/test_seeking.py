"""What a person types finds a patient, whatever the case, the accents and the order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.core.seeking import folded, matches, words_of

NAMES = ("MÜLLER-LÜDENSCHEIDT^Zoë^^Dr", "SHIKEN^HANAKO=試験^花子", "ØSTERGÅRD^Søren", "FAKE-0001", "شبح^تجريبي")


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("muller", NAMES[0]),
        ("zoe müller", NAMES[0]),
        ("Müller, Zoë", NAMES[0]),
        ("MULLER^ZOE", NAMES[0]),
        ("hanako shiken", NAMES[1]),
        ("花子", NAMES[1]),
        ("ostergard soren", NAMES[2]),
        ("fake-0001", NAMES[3]),
        ("0001", NAMES[3]),
        ("تجريبي", NAMES[4]),
    ],
)
def test_it_is_found(typed: str, name: str) -> None:
    assert matches(words_of(typed), name)


@pytest.mark.parametrize("typed", ["%", "_", "*", "mul%er", "m_ller", "zoe hanako", "fake-0002"])
def test_nothing_stands_for_anything_else(typed: str) -> None:
    assert not any(matches(words_of(typed), name) for name in NAMES)


def test_all_words_must_be_found_but_not_in_one_text() -> None:
    assert matches(words_of("muller A-17"), "MÜLLER^ZOE", "FAKE-1", "A-17")
    assert not matches(words_of("muller A-18"), "MÜLLER^ZOE", "FAKE-1", "A-17")


@given(st.text(max_size=60))
def test_whoever_types_a_whole_name_finds_it(name: str) -> None:
    assert matches(words_of(name), name)
    assert folded(folded(name)) == folded(name)
