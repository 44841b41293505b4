"""What the study page can account for: judgements, engine, every series, every file."""

from typing import Final

from appliance.core.alerts import Happening, Judged
from appliance.core.reasons import REASONS, Of, sentence
from appliance.core.studies import StudyHappening, StudyJudged
from appliance.core.words import FileVerdict, SeriesState, SeriesVerdict
from appliance.dashboard.study.views import Answer, Judging, Record, SeriesLine
from appliance.dashboard.words import judged_words, wording
from appliance.dashboard.words.header_text import header_text
from appliance.dashboard.words.moments import Calendar
from appliance.records.whole_study import FileSum, SeriesSum, WholeStudy

_VERDICT_WORDS: Final = {
    FileVerdict.TAKEN: "taken",
    FileVerdict.DECLINED: "declined",
    FileVerdict.IGNORED: "ignored",
    FileVerdict.DUPLICATE: "duplicate",
    FileVerdict.SET_ASIDE: "set aside",
    FileVerdict.POISON: "poison",
}
_NO_ALERT: Final = "No alert was raised for this scan. If it shows a bleed all the same, say so here: then it is kept."


def judging_of(whole: WholeStudy, calendar: Calendar) -> Judging:
    """What people may say, and what they have said: of the alert, or of a study that none was raised for."""
    if whole.alert is None:
        return _judging_of_study(whole, calendar)
    said = [event for event in whole.alert.events if event.happening is Happening.JUDGED]
    return Judging(
        action="judge",
        target=whole.alert.alert.id,
        event=whole.alert.changed.id,
        choices=tuple((judged.value, words) for judged, words in judged_words.FULL.items()),
        answers=tuple(
            _answer(judged_words.FULL[event.judged or Judged.UNCLEAR], event.by, event.at_ns, calendar)
            for event in reversed(said)
        ),
    )


def _judging_of_study(whole: WholeStudy, calendar: Calendar) -> Judging:
    said = [event for event in whole.events if event.happening is StudyHappening.JUDGED]
    return Judging(
        action="judge-study",
        target=whole.study.id,
        event=0,
        choices=tuple((judged.value, words) for judged, words in judged_words.OF_STUDY.items()),
        answers=tuple(
            _answer(judged_words.OF_STUDY[event.judged or StudyJudged.UNCLEAR], event.by, event.at_ns, calendar)
            for event in reversed(said)
        ),
        note=_NO_ALERT,
    )


def _answer(word: str, by: str, at_ns: int, calendar: Calendar) -> Answer:
    return Answer(word=word, by=by, at=calendar.at(at_ns).strftime("%Y-%m-%d %H:%M:%S"))


def record_of(whole: WholeStudy) -> Record:
    """Engine, series and files."""
    total = sum(one.files for one in whole.files)
    parts = " + ".join(f"{files} {words}" for words, files in _by_verdict(whole.files))
    shared = "Another patient's study came under the same study number; its files are counted here too."
    return Record(
        engine=_engine(whole),
        series=tuple(_series_line(whole, number, one) for number, one in enumerate(whole.series, start=1)),
        sum=f"{total} landed = {parts}" if total else "No file of this study is known",
        files=tuple((_VERDICT_WORDS[one.verdict], _reason_words(one), one.files) for one in whole.files if one.reason),
        note=shared if whole.others_with_uid else "",
    )


def _engine(whole: WholeStudy) -> tuple[tuple[str, str], ...]:
    reading = whole.speaking.reading if whole.speaking else None
    if reading is None:
        return (("Engine", "no reading was made"),)
    return (
        ("Engine", f"{reading.engine_name}, {reading.backend}"),
        ("Its sha256", reading.engine_sha256),
        (
            "Critical point, review point",
            f"{reading.critical_point:.2f} and {reading.review_point:.2f}, of its manifest",
        ),
        ("Revision", f"{reading.revision}, {reading.finality.value.lower()}, {reading.slices} slices"),
        ("Header says", header_text(whole.study.facts.scanner) or "nothing of the scanner"),
    )


def _by_verdict(files: tuple[FileSum, ...]) -> list[tuple[str, int]]:
    sums = {verdict: sum(one.files for one in files if one.verdict is verdict) for verdict in FileVerdict}
    return [(_VERDICT_WORDS[verdict], count) for verdict, count in sums.items() if count]


def _reason_words(one: FileSum) -> str:
    return sentence(Of.FILE, one.reason) if (Of.FILE, one.reason) in REASONS else one.reason


def _series_line(whole: WholeStudy, number: int, one: SeriesSum) -> SeriesLine:
    facts = one.series.facts
    more = whole.shown is not None and one.series.id != whole.shown.series.id and one.can_be_shown
    kernel = "kernel " + header_text(", ".join(facts.kernel)) if facts.kernel else ""
    words = [
        part for part in (header_text(facts.description or facts.protocol), header_text(facts.modality), kernel) if part
    ]
    numbered = "" if facts.series_number is None else f" (number {facts.series_number})"
    return SeriesLine(
        number=f"{number}{numbered}",
        words=", ".join(words) or "no description in the header",
        slices=one.slices,
        verdict=_verdict_words(one),
        corrections=tuple(
            sentence(Of.CORRECTION, code) if (Of.CORRECTION, code) in REASONS else code
            for code in one.series.corrections
        ),
        address=f"/study/{whole.study.id}?series={one.series.id}" if more else "",
    )


def _verdict_words(one: SeriesSum) -> str:
    if one.series.verdict is SeriesVerdict.DECLINED:
        return f"Declined. {wording.why(one.series.reasons, of=Of.SERIES)}".strip()
    running = "still landing" if one.series.state is SeriesState.OPEN else "complete"
    return f"Read: {one.reading.outcome}, {running}" if one.reading else f"Read, {running}"
