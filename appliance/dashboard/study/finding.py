"""What the study page says of the reading: the finding with its place and rough size, the reasons, the six figures."""

from typing import Final

from appliance.core.alerts import Happening
from appliance.core.extent import Extent, extent_of
from appliance.core.ledger import Finding, ReadingRow, Reasons
from appliance.core.plain_text import plain
from appliance.core.reasons import REASONS, Of, reason, sentence
from appliance.core.share import share_of
from appliance.core.words import LABELS, PLACE, Finality, Label, Outcome, Side
from appliance.dashboard.study.log import chance
from appliance.dashboard.study.views import Figures, Meter, Panel, Said
from appliance.dashboard.words import wording
from appliance.records.board import BoardAlert
from appliance.records.whole_study import JudgedSums, ShownSeries, WholeStudy

ORDER: Final = (Label.ANY, Label.IPH, Label.IVH, Label.SAH, Label.SDH, Label.EDH)
METER: Final = 200.0  # length of a meter, in its own units
DEEP_MM: Final = 40.0  # a head is at least 12 cm wide, so this near to its middle nothing touches the skull
TOWARDS_MM: Final = 20.0  # from the skull's middle before front or back is named
ROUGH: Final = "Rough: from the heat map, not a volume."


def finding_panel(whole: WholeStudy) -> Panel | None:
    """The first panel beside the picture. None where nothing was read: then `unread_panel` speaks."""
    alert, series = whole.alert, whole.speaking
    if alert is not None and alert.alert.withdrawn:
        return _withdrawn(whole, alert)
    if alert is not None:
        return _found(whole, alert)
    if series is None:
        return None
    if whole.study.outcome is None or whole.study.closed_ns is None:
        return _landing(whole, series)
    note = _NOT_NORMAL if whole.study.outcome is Outcome.NO_FINDING else ""
    return Panel(title=_OUTCOME_TITLE[whole.study.outcome], said=_said(whole.study.reasons), note=note)


def unread_panel(whole: WholeStudy) -> Panel | None:
    """Why nobody has read this study."""
    if whole.speaking is not None or whole.study.outcome is not Outcome.NOT_ANALYSED:
        return None
    note = "Nobody has looked at this scan for you." if whole.may_be_head else ""
    return Panel(title="Why this scan was not read", said=_said(whole.study.reasons), note=note)


_NOT_NORMAL: Final = "NO FINDING does not mean normal: every scan still needs its reader."
_OUTCOME_TITLE: Final = {
    Outcome.CRITICAL: "Suspected bleed",
    Outcome.REVIEW: "Possible bleed",
    Outcome.NO_FINDING: "No finding",
    Outcome.INDETERMINATE: "The engine cannot say",
    Outcome.INCOMPLETE: "Something is missing",
    Outcome.NOT_ANALYSED: "Why this scan was not read",
}


def _found(whole: WholeStudy, alert: BoardAlert) -> Panel:
    series = whole.speaking
    found = series.finding if series else None
    where, extent = _where(series, found)
    doubted = Said(
        sentence="Later slices disagree. Please look yourself.", next_step="The alert stands.", code="doubted"
    )
    beside = [one for one in whole.study.reasons if one[0] not in ("suspected-bleed", "possible-bleed", "none-flagged")]
    return Panel(
        title=wording.finding(alert.alert.level, found),
        small=_progress(whole, series),
        where=where,
        extent=extent,
        said=((doubted,) if alert.alert.doubted else ()) + _said(tuple(beside)),
    )


def _withdrawn(whole: WholeStudy, alert: BoardAlert) -> Panel:
    series = whole.speaking
    reading = series.reading if series else None
    gone = [event for event in alert.events if event.happening is Happening.WITHDRAWN][-1]
    together = f"All {reading.slices} slices together do not" if reading else "All slices together do not"
    said = f"At first it looked like a bleed. {together}{_under(reading)}."
    why = gone.details.get("why", "")
    if why and "together do not look like a bleed" not in why:
        said = f"At first it looked like a bleed. Taken back: {plain(why).removesuffix('.')}."
    looked = wording.finding(alert.alert.level, series.finding if series else None)
    number = _number_of(series, series.finding.key_slice_id) if series and series.finding else 0
    look = f"Please look at slice {number} yourself. " if number else ""
    sound = "No machine event ends the sound: it goes on until a person has pressed. " if alert.alert.sounds else ""
    return Panel(
        title="Why it was taken back",
        said=(Said(sentence=said, next_step=f"It had been: {looked}.", code="withdrawn"),),
        note=f"{look}{sound}A withdrawn alert stays on record.",
    )


def _under(reading: ReadingRow | None) -> str:
    if reading is None or not reading.probabilities or reading.probabilities[0] >= reading.review_point:
        return ""
    return f": {chance(reading.probabilities[0])}, under the review point"


def _landing(whole: WholeStudy, series: ShownSeries) -> Panel:
    reasons = _said(whole.study.reasons) if whole.study.outcome else ()
    flagged = series.reading is not None and series.reading.outcome in (Outcome.CRITICAL, Outcome.REVIEW)
    quiet = "" if flagged else "Nothing flagged so far. "
    return Panel(
        title="The scan is still running" if series.series.closed_ns is None else "Waiting for more of this study",
        small=_progress(whole, series),
        said=reasons,
        note="" if reasons else f"{quiet}It is read as a whole when all of it has landed.",
    )


def _progress(whole: WholeStudy, series: ShownSeries | None) -> str:
    """provisional: 19 of 28 slices read, the scan is still running"""
    if series is None:
        return ""
    read = sum(row.score is not None for row in series.rows)
    expected = max(series.series.facts.images_in_acquisition or 0, len(series.rows))
    name = f", series {_series_at(whole, series)} of {len(whole.series)}" if series != whole.shown else ""
    if series.series.closed_ns is None:
        return f"provisional: {read} of {expected} slices read, the scan is still running{name}"
    final = series.reading is not None and series.reading.finality is Finality.FINAL
    return f"{'final: all' if final else 'provisional:'} {read} slices read{name}"


def _series_at(whole: WholeStudy, series: ShownSeries) -> int:
    return next(number for number, one in enumerate(whole.series, start=1) if one.series.id == series.series.id)


def _where(series: ShownSeries | None, found: Finding | None) -> tuple[str, str]:
    """The place, and the size; each empty where it is not known."""
    if series is None or found is None:
        return "", ""
    reach = extent_of(series.rows, found.key_slice_id)
    return _place_words(found, reach), _extent_words(reach)


def _place_words(found: Finding, reach: Extent | None) -> str:
    side = "Side not known from the header" if found.side is Side.UNKNOWN else str(found.side)
    if reach is None or reach.left_mm is None or reach.back_mm is None:
        return f"{side}."
    away_mm = (reach.left_mm**2 + reach.back_mm**2) ** 0.5
    towards = "towards the back" if reach.back_mm > 0 else "towards the front"
    parts = ["deep"] if away_mm < DEEP_MM and found.label not in (Label.SDH, Label.EDH) else []
    parts += [side]
    parts += [towards] if abs(reach.back_mm) >= TOWARDS_MM else []
    return f"{', '.join(parts)}; its middle about {away_mm:.0f} mm from the middle of the skull."


def _extent_words(reach: Extent | None) -> str:
    if reach is None:
        return ""
    one = reach.first_number == reach.last_number
    slices = f"Slice {reach.first_number}" if one else f"Slices {reach.first_number} to {reach.last_number}"
    tall = f", about {reach.tall_mm:.0f} mm tall" if reach.tall_mm is not None else ""
    long_mm, wide_mm = reach.warm_mm
    return f"{slices}{tall}; warm area {long_mm:.0f} by {wide_mm:.0f} mm on slice {reach.key_number}. {ROUGH}"


def _number_of(series: ShownSeries, slice_id: int) -> int:
    return next((number for number, row in enumerate(series.rows, start=1) if row.id == slice_id), 0)


def _said(reasons: Reasons) -> tuple[Said, ...]:
    return tuple(_one_said(code, details) for code, details in reasons)


def _one_said(code: str, details: dict[str, str]) -> Said:
    if (Of.STUDY, code) not in REASONS:
        return Said(sentence=f"Reason: {code}.", next_step="", code=code)
    inner = details.get("reason", details.get("why", ""))
    known = (Of.SERIES, inner) in REASONS
    if known and details.get("why") == inner:
        rest = {key: value for key, value in details.items() if key != "why"}
        details = details | {"why": sentence(Of.SERIES, inner, **rest)}
    next_step = reason(Of.STUDY, code).next_step.removeprefix("None.").strip()
    return Said(
        sentence=sentence(Of.STUDY, code, **details), next_step=next_step, code=f"{code}: {inner}" if known else code
    )


def figures_of(whole: WholeStudy) -> Figures | None:
    """The six probabilities of the latest reading, against the points that it was judged by."""
    reading = whole.speaking.reading if whole.speaking else None
    if reading is None or not reading.probabilities:
        return None
    withdrawn = whole.alert is not None and whole.alert.alert.withdrawn
    final = reading.finality is Finality.FINAL
    return Figures(
        title="Final reading" if final else "Provisional reading",
        small=f"all {reading.slices} slices" if final else f"{reading.slices} slices so far",
        meters=tuple(_meter(label, reading) for label in ORDER),
        marks=(f"{METER * reading.review_point:.1f}", f"{METER * reading.critical_point:.1f}"),
        points=(f"{reading.review_point:.2f}", f"{reading.critical_point:.2f}"),
        note=_worth(whole.judged, critical=whole.alert is not None and not withdrawn),
    )


def _meter(label: Label, reading: ReadingRow) -> Meter:
    value = reading.probabilities[LABELS.index(label)]
    look, words = "b-q", "under the review point"
    if value >= reading.critical_point:
        look, words = "b-crit", "over the critical point"
    elif value >= reading.review_point:
        look, words = "b-rev", "over the review point"
    return Meter(
        label="Any bleed" if label is Label.ANY else PLACE[label].capitalize(),
        kind="" if label is Label.ANY else label.upper(),
        look=look,
        length=f"{max(0.0, min(1.0, value)) * (METER - 2):.1f}",
        value=chance(value),
        exact=f"{value:.4f}",
        words=words,
    )


def _worth(judged: JudgedSums, *, critical: bool) -> str:
    """How often CRITICAL was right at this site. The interval says how little a few cases prove."""
    share = share_of(judged.confirmed, judged.confirmed + judged.refuted)
    if share is None:
        return "At this site nobody has said of any CRITICAL yet whether it was right."
    unclear = f" {judged.unclear} more were unclear." if judged.unclear else ""
    return (
        f"At this site so far {share.part} of {share.whole} judged CRITICAL were right ({100 * share.value:.0f} %, "
        f"95 % interval {100 * share.low:.0f} to {100 * share.high:.0f} %).{unclear}"
    )
