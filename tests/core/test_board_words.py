"""The words, strips, ages and rules of the board that need no ledger and no browser."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from appliance.core.headers import Patient, StudyFacts
from appliance.core.ledger import Finding
from appliance.core.reasons import REASONS, Of
from appliance.core.status import PageSeen, ProgramStatus
from appliance.core.times import Now
from appliance.core.watching import SilenceWatch, live_pages
from appliance.core.words import KINDS, Label, Level, Outcome, Side
from appliance.dashboard.board.strip import Strip, draw
from appliance.dashboard.config import DashboardConfig, check_address
from appliance.dashboard.desk import person_name
from appliance.dashboard.guard import same_token, token_of
from appliance.dashboard.live.pages import Pages, is_page_id
from appliance.dashboard.words import wording
from appliance.dashboard.words.moments import Ages, Calendar, lasted
from appliance.records.board import BoardSlice

S = 1_000_000_000
PATIENT = Patient(identity="X", patient_id="FAKE-0001", name="PHANTOM^ONE", birth_date="1951-01-01", sex="M")
FOUND = Finding(label="iph", side=Side.LEFT, key_slice_id=16, key_number=16, evidence=(16, 17))


def bars(count: int, *, missing: tuple[int, ...] = (), hot: tuple[int, ...] = ()) -> list[BoardSlice]:
    return [
        BoardSlice(id=n, position_mm=5.0 * n, landed_ns=0, probability=0.9 if n in hot else 0.1)
        for n in range(count)
        if n not in missing
    ]


def strip(slices: list[BoardSlice], *, expected: int | None = None, still_open: bool = False) -> Strip:
    drawn = draw(slices, critical_point=0.8, review_point=0.4, key_slice_id=8, expected=expected, still_open=still_open)
    assert drawn is not None
    return drawn


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("PHANTOM^ONE", "PHANTOM, ONE"),
        ("PHANTOM^ONE^MIDDLE^DR^JR", "PHANTOM, ONE MIDDLE DR JR"),
        ("PHANTOM", "PHANTOM"),
        ("", "(no name in the header)"),
        ("^^^", "(no name in the header)"),
        ("SHIKEN^HANAKO=試験^花子", "SHIKEN, HANAKO (試験, 花子)"),
        ("=試験^花子", "試験, 花子"),
        ("<img src=x onerror=alert(1)>^BOBBY", "<img src=x onerror=alert(1)>, BOBBY"),
        ("شبح^تجريبي", "شبح, تجريبي"),
    ],
)
def test_names_are_written_as_people_write_them(name: str, shown: str) -> None:
    assert wording.name(replace(PATIENT, name=name)) == shown


def test_identity_is_never_the_name_alone() -> None:
    facts = StudyFacts(study_uid="1", patient=PATIENT, accession="ACC-1")
    assert wording.identity(facts) == ("ID FAKE-0001", "born 1951-01-01", "male", "accession ACC-1")
    bare = StudyFacts(study_uid="1", patient=Patient(identity=""))
    assert wording.identity(bare) == ("no ID in the header", "birth date not known")


def test_findings_are_suspected_or_possible_and_never_more() -> None:
    assert wording.finding(Level.CRITICAL, FOUND) == "Suspected bleed inside the brain (IPH), patient’s left"
    assert wording.finding(Level.REVIEW, replace(FOUND, label="sdh", side=Side.RIGHT)) == (
        "Possible bleed under the dura (SDH), patient’s right"
    )
    unclear = replace(FOUND, label="any", side=Side.UNKNOWN)
    assert wording.finding(Level.CRITICAL, unclear) == (
        "Suspected bleed inside the skull, kind not clear, side not known"
    )
    assert wording.finding(Level.CRITICAL, None) == "Suspected bleed"
    for label in KINDS:
        assert f"({label.upper()})" in wording.finding(Level.CRITICAL, replace(FOUND, label=label))
    assert "kind not clear" in wording.finding(Level.CRITICAL, replace(FOUND, label="nonsense"))
    assert Label.ANY not in KINDS


def test_a_reason_is_said_with_its_next_step_and_a_code_of_a_series_in_its_own_sentence() -> None:
    assert wording.why((("none-flagged", {"n": "34"}),)) == (
        "All 34 slices read, none flagged. A person still has to read it."
    )
    said = wording.why((("no-eligible-series", {"why": "contrast"}),))
    assert said.startswith("A head CT landed and nobody has read it: Contrast was given.")
    assert wording.why_unread((("no-eligible-series", {"why": "contrast"}),)) == (
        "Contrast was given. This engine reads native head CT only."
    )
    beside = wording.why((("slices-missing", {"first": "12", "last": "14"}), ("motion", {"n": "9", "all": "30"})))
    assert beside == ("Slices 12 to 14 never arrived. Send the series again. The patient moved in 9 of 30 slices.")
    assert wording.why((("code-of-tomorrow", {}),)) == "Reason: code-of-tomorrow."


def test_no_sentence_of_the_table_calls_a_scan_normal() -> None:
    for (of, code), row in REASONS.items():
        for text in (row.sentence, row.next_step):
            for word in ("normal", "all clear", "no bleed", "negative"):
                assert word not in text.lower(), (of, code)


def test_each_outcome_has_a_look_and_each_technical_code_is_blind_or_not() -> None:
    assert set(wording.LOOK) == set(Outcome)
    for of, code in REASONS:
        if of is Of.TECHNICAL:
            leads_to = REASONS[(of, code)].leads_to
            assert wording.is_blind(code, {}) == (leads_to == "BLIND")
            assert wording.is_blind(code, {"blind": "yes"}) == ("BLIND" in leads_to)
    assert not wording.is_blind("code-of-tomorrow", {})


def test_small_numbers_are_words() -> None:
    assert wording.landing(0) == "No head CT is landing now."
    assert wording.landing(1) == "One head CT is landing now."
    assert wording.landing(2) == "Two head CT are landing now."
    assert wording.landing(14) == "14 head CT are landing now."
    assert wording.agreeing([16]) == "slice 16 alone is far above the point"
    assert wording.agreeing([16, 17]) == "slices 16 and 17 agree on the place"


def test_the_strip_shows_what_is_missing_and_what_is_to_come() -> None:
    drawn = strip(bars(30, missing=(11, 12, 13), hot=(8, 9)))
    assert drawn.svg.count("<rect") == 30
    assert drawn.svg.count("b-gap") == 3
    assert drawn.svg.count("b-crit") == 2
    assert drawn.svg.count("b-key") == 1
    assert drawn.sentence == "27 slices, 2 above the critical point, 3 missing"
    landing = strip(bars(9), expected=12, still_open=True)
    assert landing.svg.count("b-wait") == 3
    assert landing.sentence == "9 of 12 slices landed, none above the review point"
    assert strip(bars(9), expected=12).svg.count("b-wait") == 0, "a closed series awaits nothing"
    assert draw([], critical_point=0.8, review_point=0.4, key_slice_id=None, expected=5, still_open=True) is None


def test_the_strip_is_ordered_by_place_and_bounded() -> None:
    shuffled = list(reversed(bars(10, hot=(9,))))
    assert strip(shuffled).svg == strip(bars(10, hot=(9,))).svg
    far = [*bars(3), BoardSlice(id=99, position_mm=1e9, landed_ns=0, probability=0.1)]
    assert strip(far).svg.count("<rect") <= 600
    same = [replace(one, position_mm=3.0) for one in bars(4)]
    assert strip(same).svg.count("<rect") == 4
    assert strip([replace(one, probability=None) for one in bars(3)]).svg.count("b-wait") == 3


def test_a_bar_at_the_critical_point_reaches_the_line_wherever_the_point_lies() -> None:
    for point in (0.2, 0.5, 0.95):
        one = [BoardSlice(id=1, position_mm=0.0, landed_ns=0, probability=point)]
        drawn = draw(one, critical_point=point, review_point=0.1, key_slice_id=None, expected=None, still_open=False)
        assert drawn is not None
        assert 'y="8.6"' in drawn.svg


def test_a_clock_that_jumps_makes_no_alert_look_young() -> None:
    ages = Ages()
    assert ages.age_s("alert-1", 100 * S, 105 * S, 50.0) == pytest.approx(5.0)
    assert ages.age_s("alert-1", 100 * S, 90 * S, 60.0) == pytest.approx(15.0), "the wall clock went back"
    assert ages.age_s("alert-1", 100 * S, 900 * S, 61.0) == pytest.approx(16.0), "the wall clock went ahead"
    assert ages.age_s("alert-1", 890 * S, 900 * S, 61.0) == pytest.approx(10.0), "raised anew"
    assert ages.age_s("alert-2", 990 * S, 900 * S, 61.0) == 0.0, "never negative"


def test_times_are_those_of_the_site() -> None:
    calendar = Calendar.of("Europe/Berlin")
    noon_ns = int(datetime(2031, 5, 14, 12, 32, 7, tzinfo=UTC).timestamp()) * S
    assert calendar.clock(noon_ns) == "14:32:07"
    assert calendar.short(noon_ns) == "14:32"
    assert calendar.spoken(noon_ns, noon_ns + 3600 * S) == "14:32"
    assert calendar.spoken(noon_ns, noon_ns + 86400 * S) == "yesterday 14:32"
    assert calendar.spoken(noon_ns, noon_ns + 5 * 86400 * S) == "2031-05-14 14:32"
    assert calendar.clock(calendar.midnight_ns(noon_ns)) == "00:00:00"
    assert [lasted(seconds) for seconds in (0, 33.9, 61, 4200)] == ["0 s", "33 s", "1 min", "1 h 10"]


def test_a_person_is_one_plain_line() -> None:
    assert person_name("  R.\tExample\n") == "R. Example"
    assert person_name("R.\u202e Ex\x00ample\u200b") == "R. Ex ample"
    assert person_name("x" * 200) == "x" * 60
    for nothing in ("", " \n", "\u202e", None, 7, ["x"], {"a": 1}):
        assert person_name(nothing) == ""


def test_tokens_are_those_of_this_browser() -> None:
    token = token_of(None)
    assert token_of(token) == token, "a restart of the server does not end a page"
    assert token_of("short") != "short"
    assert same_token(token, token)
    for cookie, header in ((token, token_of(None)), (token, ""), (token, None), (None, token), ("", ""), ("x", "x")):
        assert not same_token(cookie, header)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.4", "box.example", ""])
def test_only_loopback_is_served(host: str) -> None:
    with pytest.raises(Exception, match=r"127\.0\.0\.1"):
        check_address(DashboardConfig(host=host))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_is_served(host: str) -> None:
    check_address(DashboardConfig(host=host))


def test_a_page_counts_only_while_it_is_connected_and_has_spoken() -> None:
    pages = Pages()
    pages.word("a" * 16, armed=True, monotonic_s=1.0)
    assert pages.seen(1.0) == [], "no stream, no page"
    pages.connected("a" * 16)
    assert pages.seen(1.0) == [], "it has not spoken yet"
    pages.word("a" * 16, armed=True, monotonic_s=2.0)
    assert pages.seen(3.0) == [PageSeen(page_id="a" * 16, armed=True, last_word_s_ago=1.0)]
    pages.connected("a" * 16)
    pages.disconnected("a" * 16)
    assert len(pages.seen(3.0)) == 1, "a reload overlaps"
    pages.disconnected("a" * 16)
    assert pages.seen(3.0) == []
    for number in range(500):
        pages.connected(f"{number:016x}")
    assert not is_page_id("../../etc")
    assert is_page_id("0123456789abcdef")


def status(beat_s: float, *pages: PageSeen) -> ProgramStatus:
    return ProgramStatus(program="dashboard", pid=1, started_ns=0, beat_monotonic_s=beat_s, pages=pages)


def test_a_page_is_live_while_armed_and_heard_within_5_s() -> None:
    def page(armed: bool, ago_s: float) -> PageSeen:
        return PageSeen(page_id="a" * 16, armed=armed, last_word_s_ago=ago_s)

    now = Now(100.0, 0)
    assert live_pages(None, now) == 0
    assert live_pages(status(100.0, page(True, 4.9), page(False, 0.1), page(True, 5.1)), now) == 1
    assert live_pages(status(98.0, page(True, 2.9), page(True, 3.1)), now) == 1, "the age of the file counts too"


def test_silence_is_told_after_5_s_and_a_file_of_the_last_run_is_no_life() -> None:
    started = Now(1000.0, 0)
    watch = SilenceWatch(["triage"], started)
    stale = status(900.0)
    assert watch.look({"triage": stale}, started.plus(29)) == {}
    assert "triage" in watch.look({"triage": stale}, started.plus(31))
    assert watch.look({"triage": status(1032.0)}, started.plus(32)) == {}
    assert watch.look({"triage": status(1032.0)}, started.plus(36.9)) == {}
    assert watch.look({"triage": None}, started.plus(37.5)) == {"triage": pytest.approx(5.5)}
    assert watch.look({"triage": status(1040.0)}, started.plus(40)) == {}
