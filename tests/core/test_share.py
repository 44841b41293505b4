"""Shares of a few cases: figures by hand from Wilson's formula."""

import pytest

from appliance.core.share import share_of


def test_a_share_has_an_interval() -> None:
    share = share_of(41, 47)
    assert share is not None
    assert share.value == pytest.approx(0.8723, abs=1e-4)
    assert (share.low, share.high) == (pytest.approx(0.7483, abs=2e-3), pytest.approx(0.9402, abs=2e-3))


def test_all_and_none_stay_between_0_and_1() -> None:
    all_right, none_right = share_of(3, 3), share_of(0, 3)
    assert all_right is not None and none_right is not None
    assert all_right.high == pytest.approx(1.0) and all_right.low == pytest.approx(0.4385, abs=1e-3)
    assert none_right.low == 0.0 and none_right.high == pytest.approx(0.5615, abs=1e-3)


def test_nothing_has_no_share_and_more_than_all_is_refused() -> None:
    assert share_of(0, 0) is None
    for part, whole in ((2, 1), (-1, 1)):
        with pytest.raises(ValueError, match="no share"):
            share_of(part, whole)
