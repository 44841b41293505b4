"""The bands: what the box says of itself."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from appliance.core.alerts import Happening
from appliance.core.reasons import REASONS, Of, reason, sentence
from appliance.core.watching import SILENT_CODE
from appliance.dashboard.board.cards import alarm
from appliance.dashboard.board.views import CONSOLE_FACE, Alarm, Band, Face, Moment
from appliance.dashboard.words import wording
from appliance.dashboard.words.moments import SECOND_NS, lasted
from appliance.records.board import BoardAlert

SCREEN_SILENT: Final = "screen-silent"
NOTHING_LANDED: Final = "nothing-landed"

FOR_THE_ADMINISTRATOR: Final = frozenset(
    {"backup-failed", "certificate-ending", "clock-jumped", "disk-low", "watch-limit", "watcher-deaf"}
)
"""Faults that change nothing for who stands at the console: a number at System, no band and no sound."""

SLOW: Final = frozenset({"backend-fell-back", "gpu-lost"})
"""Faults that leave the box seeing, but slowly."""

COMES_BACK_AFTER_S: Final = 300.0
"""A box that is still blind says so again this long after a person has seen it."""


def for_console(alerts: Sequence[BoardAlert]) -> tuple[BoardAlert, ...]:
    """The technical alerts that change the work at the console."""
    return tuple(one for one in alerts if one.alert.key.first not in FOR_THE_ADMINISTRATOR)


def technical_bands(
    alerts: Sequence[BoardAlert],
    silent: Mapping[str, float],
    moment: Moment,
    *,
    last_landed_ns: int | None = None,
    face: Face = CONSOLE_FACE,
) -> tuple[Band, ...]:
    """A band of each of these alerts, the blind ones first.

    `silent`: programs that the dashboard itself sees silent, and for how many seconds. They are shown even where the
    ledger cannot be written.
    """
    bands = [_band(alert, moment, last_landed_ns, face) for alert in alerts]
    known = {alert.alert.key.first for alert in alerts}
    for program, seconds in silent.items():
        code = SILENT_CODE[program]
        if code not in known:
            bands.append(_silent_band(code, seconds, moment))
    return tuple(sorted(bands, key=lambda band: not band.blind))


def technical_alarms(
    alerts: Sequence[BoardAlert], moment: Moment, *, last_landed_ns: int | None = None
) -> tuple[Alarm, ...]:
    """What the page sounds for them."""
    return tuple(
        # One that comes back sounds again, though its row says that it was answered.
        replace(alarm(alert, blind=is_blind(alert), said=_said(alert, moment, last_landed_ns)), sounds=True)
        for alert in alerts
        if not _seen_lately(alert, moment)
    )


def is_blind(alert: BoardAlert) -> bool:
    """Whether this technical alert says that the box cannot see."""
    return wording.is_blind(alert.alert.key.first, alert.alert.details)


def _band(alert: BoardAlert, moment: Moment, last_landed_ns: int | None, face: Face) -> Band:
    code = alert.alert.key.first
    said, next_step = sentences(code, _details(alert, moment, last_landed_ns))
    seen = _seen_lately(alert, moment)
    return Band(
        key=f"technical-{alert.alert.id}",
        blind=is_blind(alert),
        lead=said,
        words=next_step if not seen else f"{next_step} Seen by {alert.alert.acknowledged_by}.",
        age=moment.age(f"technical-{alert.alert.id}", alert.alert.raised_ns),
        target=0 if seen or not face.buttons else alert.alert.id,
        event=alert.changed.id,
        screen=alert.alert.key.second if code == SCREEN_SILENT else "",
    )


def _silent_band(code: str, seconds: float, moment: Moment) -> Band:
    said, next_step = sentences(code, {})
    since_ns = moment.now_ns - round(seconds * SECOND_NS)
    # Rounded, so that the same silence has the same key from look to look.
    since_ns -= since_ns % (10 * SECOND_NS)
    return Band(
        key=code,
        blind=wording.is_blind(code, {}),
        lead=said,
        words=next_step,
        age=moment.age(code, since_ns),
    )


def sentences(code: str, details: Mapping[str, str]) -> tuple[str, str]:
    """What a technical alert says, and its next step; of a code that is not in the table too."""
    if (Of.TECHNICAL, code) not in REASONS:
        return f"Technical fault: {code}.", "Tell the administrator."
    return sentence(Of.TECHNICAL, code, **details), reason(Of.TECHNICAL, code).next_step


def _said(alert: BoardAlert, moment: Moment, last_landed_ns: int | None) -> str:
    said, next_step = sentences(alert.alert.key.first, _details(alert, moment, last_landed_ns))
    return f"{'BLIND. ' if is_blind(alert) else ''}{said} {next_step}"


def _details(alert: BoardAlert, moment: Moment, last_landed_ns: int | None) -> dict[str, str]:
    """What fills the sentence. How long nothing has landed grows, so it is said as of now."""
    if alert.alert.key.first == NOTHING_LANDED and last_landed_ns is not None:
        return {"time": lasted(max(0.0, (moment.now_ns - last_landed_ns) / SECOND_NS))}
    return alert.alert.details


def _seen_lately(alert: BoardAlert, moment: Moment) -> bool:
    """Whether a person has answered; to a blind box an answer holds five minutes only."""
    answers = [event.at_ns for event in alert.events if event.happening is Happening.ACKNOWLEDGED]
    if not answers or alert.alert.acknowledged_ns is None:
        return False
    return not is_blind(alert) or moment.now_ns - answers[-1] < COMES_BACK_AFTER_S * SECOND_NS
