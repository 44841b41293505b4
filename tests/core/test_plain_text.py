"""What no person can read is taken away, and counted."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.core.plain_text import plain, shortened, unreadable


@pytest.mark.parametrize(
    ("text", "left", "taken"),
    [
        ("PHANTOM^ONE", "PHANTOM^ONE", 0),
        ("PHAN\u202eTOM\x07", "PHANTOM", 2),
        ("a\u2028b\u2029c\ud800\ue000", "abc", 4),
        ("\u200f\u2066x\u2069", "x", 3),
        ("شبح^تجريبي 花子", "شبح^تجريبي 花子", 0),
    ],
)
def test_it_is_taken_away_and_counted(text: str, left: str, taken: int) -> None:
    assert plain(text) == left
    assert unreadable(text) == taken


@given(st.text())
def test_nothing_that_turns_or_hides_a_text_is_left(text: str) -> None:
    assert not {unicodedata.category(one)[0] for one in plain(text)} & {"C"}
    assert plain(plain(text)) == plain(text)


def test_what_is_cut_is_said() -> None:
    assert shortened("abc", 3) == "abc"
    assert shortened("abcd", 3) == "ab…"
