"""One look at the ledger becomes one view of the board. Which message stands where is decided here."""

from collections.abc import Mapping
from typing import Final

from appliance.core.words import Level
from appliance.dashboard import wording
from appliance.dashboard.bands import technical_alarms, technical_bands
from appliance.dashboard.cards import alarm, alert_card, unseen_card
from appliance.dashboard.rows import day_row, day_sums, landing_row
from appliance.dashboard.views import AGO, BoardView, Calm, Card, Moment
from appliance.records.board import Board, BoardAlert

MOST_OPEN_CARDS: Final = 5
MOST_BANDS: Final = 2
MOST_ANSWERED_CARDS: Final = 3


def look(board: Board, silent: Mapping[str, float], moment: Moment) -> BoardView:
    """What the board shows of one look. `silent`: seconds of silence of programs that should have spoken."""
    bands = technical_bands(board.technical, silent, moment)
    open_cards = _open_cards(board, moment)
    cards = (*open_cards[:MOST_OPEN_CARDS], *_quiet_cards(board, moment, alone=not open_cards))
    blind = any(band.blind for band in bands)
    told = tuple(alarm(one) for one in board.alarms if one.alert.level is not Level.REVIEW)
    return BoardView(
        title=_title(board, blind=blind),
        bands=bands[:MOST_BANDS],
        more_bands=bands[MOST_BANDS:],
        bar=tuple(alert_card(alert, moment, large=False) for alert in _unanswered(board, Level.CRITICAL)),
        cards=cards,
        folded=open_cards[MOST_OPEN_CARDS:],
        calm=None if cards or blind else _calm(board, len(bands), moment),
        landing=tuple(landing_row(study, moment) for study in board.landing),
        today=tuple(day_row(study, moment) for study in board.closed),
        today_words=day_sums(board.counts, len(board.closed)),
        alarms=told + technical_alarms(board.technical, moment),
        last_event_id=board.last_event_id,
    )


def _open_cards(board: Board, moment: Moment) -> tuple[Card, ...]:
    """CRITICAL that nobody has answered, newest first; the first is large."""
    critical = _unanswered(board, Level.CRITICAL)
    cards = []
    for number, alert in enumerate(critical, start=1):
        count = f"{number} of {len(critical)}" if len(critical) > 1 and number == 1 else ""
        cards.append(alert_card(alert, moment, large=number == 1, count=count))
    return tuple(cards)


def _quiet_cards(board: Board, moment: Moment, *, alone: bool) -> tuple[Card, ...]:
    """Behind them what makes no sound, a test, and what a person has answered."""
    cards = [unseen_card(study, moment) for study in board.unseen]
    for level in (Level.REVIEW, Level.TEST):
        cards += [alert_card(alert, moment, large=False) for alert in _unanswered(board, level)]
    answered = [one for one in board.alarms if one.alert.level is Level.CRITICAL and not one.alert.open]
    answered = [one for one in answered if not one.alert.withdrawn]
    answered.sort(key=lambda one: one.alert.acknowledged_ns or 0, reverse=True)
    for alert in answered[:MOST_ANSWERED_CARDS]:
        cards.append(alert_card(alert, moment, large=alone and not cards))
    return tuple(cards)


def _unanswered(board: Board, level: Level) -> list[BoardAlert]:
    """Alerts of a level that nobody has answered, the one that became news last first."""
    alerts = [one for one in board.alarms if one.alert.level is level and one.alert.open]
    return sorted(alerts, key=lambda one: one.news.id, reverse=True)


def _calm(board: Board, faults: int, moment: Moment) -> Calm:
    heads = sum(study.may_be_head for study in board.landing)
    if board.last_landed_ns is None:
        return Calm(
            word="Nothing landed yet",
            words="This box has never seen a scan. Send one head CT from the scanner: it appears here within a second.",
            facts=(("0", "head CT today"),),
        )
    words = wording.landing(heads)
    if board.counts.heads == 0:
        words = f"No head CT today. Last landing {moment.calendar.spoken(board.last_landed_ns, moment.now_ns)}."
    if faults:
        words += f" {wording.count(faults, 'technical alert is', 'technical alerts are')} open."
    return Calm(
        word="Watching",
        words=f"Nothing to acknowledge. {words}",
        facts=(
            (moment.age("last-landing", board.last_landed_ns, AGO), "since the last slice"),
            (str(board.counts.heads), "head CT today"),
            (str(board.counts.not_analysed), "not analysed today"),
        ),
    )


def _title(board: Board, *, blind: bool) -> str:
    """The level, never a name: titles stand in histories and task bars."""
    if critical := _unanswered(board, Level.CRITICAL):
        return f"CRITICAL: {len(critical)} open"
    if blind:
        return "BLIND"
    if review := _unanswered(board, Level.REVIEW):
        return f"REVIEW: {len(review)} open"
    return f"NOT ANALYSED: {len(board.unseen)} to be seen" if board.unseen else "Watching"
