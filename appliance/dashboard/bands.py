"""The bands: what the box says of itself."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from appliance.core.alerts import Happening
from appliance.core.reasons import REASONS, Of, reason, sentence
from appliance.core.watching import SILENT_CODE
from appliance.dashboard import wording
from appliance.dashboard.cards import alarm
from appliance.dashboard.moments import SECOND_NS
from appliance.dashboard.views import Alarm, Band, Moment
from appliance.records.board import BoardAlert

COMES_BACK_AFTER_S: Final = 300.0
"""A box that is still blind says so again this long after a person has seen it."""


def technical_bands(alerts: Sequence[BoardAlert], silent: Mapping[str, float], moment: Moment) -> tuple[Band, ...]:
    """Every technical alert that is open, the blind ones first.

    `silent`: programs that the dashboard itself sees silent, and for how many seconds. They are shown even where the
    ledger cannot be written.
    """
    bands = [_band(alert, moment) for alert in alerts]
    known = {alert.alert.key.first for alert in alerts}
    for program, seconds in silent.items():
        code = SILENT_CODE[program]
        if code not in known:
            bands.append(_silent_band(code, seconds, moment))
    return tuple(sorted(bands, key=lambda band: not band.blind))


def technical_alarms(alerts: Sequence[BoardAlert], moment: Moment) -> tuple[Alarm, ...]:
    """What the page sounds for them."""
    return tuple(
        # One that comes back sounds again, though its row says that it was answered.
        replace(alarm(alert, blind=is_blind(alert), said=_said(alert)), sounds=True)
        for alert in alerts
        if not _seen_lately(alert, moment)
    )


def is_blind(alert: BoardAlert) -> bool:
    """Whether this technical alert says that the box cannot see."""
    return wording.is_blind(alert.alert.key.first, _details(alert))


def _band(alert: BoardAlert, moment: Moment) -> Band:
    code = alert.alert.key.first
    said, next_step = _sentences(code, _details(alert))
    seen = _seen_lately(alert, moment)
    return Band(
        key=f"technical-{alert.alert.id}",
        blind=is_blind(alert),
        lead=said,
        words=next_step if not seen else f"{next_step} Seen by {alert.alert.acknowledged_by}.",
        age=moment.age(f"technical-{alert.alert.id}", alert.alert.raised_ns),
        target=0 if seen else alert.alert.id,
        event=alert.changed.id,
    )


def _silent_band(code: str, seconds: float, moment: Moment) -> Band:
    said, next_step = _sentences(code, {})
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


def _sentences(code: str, details: Mapping[str, str]) -> tuple[str, str]:
    if (Of.TECHNICAL, code) not in REASONS:
        return f"Technical fault: {code}.", "Tell the administrator."
    return sentence(Of.TECHNICAL, code, **details), reason(Of.TECHNICAL, code).next_step


def _said(alert: BoardAlert) -> str:
    said, next_step = _sentences(alert.alert.key.first, _details(alert))
    return f"{'BLIND. ' if is_blind(alert) else ''}{said} {next_step}"


def _details(alert: BoardAlert) -> dict[str, str]:
    return alert.alert.details


def _seen_lately(alert: BoardAlert, moment: Moment) -> bool:
    """Whether a person has answered; to a blind box an answer holds five minutes only."""
    answers = [event.at_ns for event in alert.events if event.happening is Happening.ACKNOWLEDGED]
    if not answers or alert.alert.acknowledged_ns is None:
        return False
    return not is_blind(alert) or moment.now_ns - answers[-1] < COMES_BACK_AFTER_S * SECOND_NS
