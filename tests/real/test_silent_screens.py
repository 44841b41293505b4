"""A screen that should sound and cannot is told; one that nobody hangs up is not."""

from appliance.core.status import PageSeen
from appliance.dashboard.live.screens import Screens


def page(screen: str, place: str = "board", *, armed: bool = True, ago_s: float = 0.0) -> PageSeen:
    return PageSeen(page_id=screen * 4, armed=armed, last_word_s_ago=ago_s, place=place, screen=screen)


def silent(screens: Screens, pages: list[PageSeen], at_s: float) -> list[str]:
    return [one.screen for one in screens.look(pages, at_s)]


def test_a_screen_is_given_five_seconds() -> None:
    screens = Screens()
    unarmed = [page("a1b2", armed=False)]
    assert silent(screens, unarmed, 100.0) == []
    assert silent(screens, unarmed, 104.9) == []
    (found,) = screens.look(unarmed, 105.0)
    assert (found.screen, found.place, found.since_s) == ("a1b2", "board", 100.0)
    assert silent(screens, [page("a1b2")], 106.0) == []
    assert silent(screens, unarmed, 107.0) == []


def test_a_page_that_says_nothing_any_more_is_silent_though_it_was_armed() -> None:
    screens = Screens()
    assert silent(screens, [page("a1b2")], 0.0) == []
    assert silent(screens, [page("a1b2", ago_s=5.5)], 5.5) == ["a1b2"]


def test_another_armed_page_of_the_same_browser_speaks_for_it() -> None:
    screens = Screens()
    pages = [page("a1b2", armed=False), page("a1b2", "study")]
    assert silent(screens, pages, 0.0) == []
    assert silent(screens, pages, 60.0) == []


def test_who_only_reads_a_study_is_no_screen_and_who_has_gone_is_none_any_more() -> None:
    screens = Screens()
    for at_s in (0.0, 60.0):
        assert silent(screens, [page("a1b2", "study", armed=False)], at_s) == []
    assert silent(screens, [page("c3d4", armed=False)], 60.0) == []
    assert silent(screens, [page("c3d4", armed=False)], 70.0) == ["c3d4"]
    assert silent(screens, [], 71.0) == []
    assert silent(screens, [page("c3d4", armed=False)], 72.0) == []
