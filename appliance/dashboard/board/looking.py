"""One look at the ledger becomes one view of the board. Which message stands where is decided here."""

from collections.abc import Mapping
from typing import Final

from appliance.core.alerts import AlertState
from appliance.core.escalation import EscalationPolicy
from appliance.core.words import Level
from appliance.dashboard.board.bands import SLOW, for_console, technical_alarms, technical_bands
from appliance.dashboard.board.cards import NO_POLICY, alarm, alert_card, unseen_card
from appliance.dashboard.board.day import day_view
from appliance.dashboard.board.first_run import BoxFacts, first_run
from appliance.dashboard.board.rows import day_sums, landing_row
from appliance.dashboard.board.unrecorded import Unkept, unrecorded_alarms, unrecorded_bands
from appliance.dashboard.board.views import AGO, CONSOLE_FACE, BoardView, Calm, Card, Face, Moment
from appliance.dashboard.words import wording
from appliance.records.board import Board, BoardAlert

MOST_OPEN_CARDS: Final = 5
MOST_QUIET_CARDS: Final = 5
MOST_BANDS: Final = 2
MOST_ANSWERED_CARDS: Final = 3
NOTHING_YET: Final = "Nothing landed yet"


def look(
    board: Board,
    silent: Mapping[str, float],
    moment: Moment,
    *,
    policy: EscalationPolicy = NO_POLICY,
    face: Face = CONSOLE_FACE,
    facts: BoxFacts = BoxFacts(),
    unkept: Unkept = Unkept(),
) -> BoardView:
    """What the board shows of one look. `silent`: seconds of silence of programs that should have spoken; `unkept`: what
    the programs could not write down."""
    landed_ns = board.last_landed_ns
    at_console = for_console(board.technical)
    known = {one.alert.key.first for one in at_console}
    bands = unrecorded_bands(unkept, board, moment, face, known=known)
    bands += technical_bands(at_console, silent, moment, last_landed_ns=landed_ns, face=face)
    open_cards = _open_cards(board, moment, policy, face)
    waiting = _waiting_cards(board, moment, face, alone=not open_cards)
    answered = _answered_cards(board, moment, face, alone=not open_cards and not waiting)
    blind = any(band.blind for band in bands)
    nothing = not (open_cards or waiting or answered or blind)
    return BoardView(
        title=_title(board, blind=blind),
        bands=bands[:MOST_BANDS],
        more_bands=max(0, len(bands) - MOST_BANDS),
        elsewhere=len(board.technical) - len(at_console) + max(0, len(bands) - MOST_BANDS),
        bar=_bar(board, moment, policy),
        cards=open_cards[:MOST_OPEN_CARDS],
        folded=open_cards[MOST_OPEN_CARDS:],
        quiet=(*waiting[:MOST_QUIET_CARDS], *answered),
        quiet_folded=waiting[MOST_QUIET_CARDS:],
        calm=_calm(board, moment) if nothing and (landed_ns is not None or not face.buttons) else None,
        first_run=first_run(board, facts, moment) if nothing and landed_ns is None and face.buttons else None,
        landing=tuple(landing_row(study, moment, face=face) for study in board.landing),
        day=day_view(board.closed, board.listed, moment, sums=day_sums(board.counts)),
        tested=_tested(board, moment),
        alarms=(
            *unrecorded_alarms(unkept, board, face),
            *(alarm(one, face=face) for one in board.alarms if one.alert.open),
            *technical_alarms(at_console, moment, last_landed_ns=landed_ns),
        ),
        last_event_id=board.last_event_id,
    )


def _open_cards(board: Board, moment: Moment, policy: EscalationPolicy, face: Face) -> tuple[Card, ...]:
    """CRITICAL that nobody has answered, newest first; the first is large."""
    critical = _unanswered(board, Level.CRITICAL)
    cards = []
    for number, alert in enumerate(critical, start=1):
        count = f"{number} of {len(critical)}" if len(critical) > 1 and number == 1 else ""
        cards.append(alert_card(alert, moment, large=number == 1, count=count, policy=policy, face=face))
    return tuple(cards)


def _waiting_cards(board: Board, moment: Moment, face: Face, *, alone: bool) -> tuple[Card, ...]:
    """Behind them what waits for a press without the sound of a CRITICAL: a test, heads unread, REVIEW."""
    tests = _unanswered(board, Level.TEST)
    cards = [alert_card(one, moment, large=alone and not number, face=face) for number, one in enumerate(tests)]
    cards += [unseen_card(study, moment, face=face) for study in board.unseen]
    cards += [alert_card(one, moment, large=False, face=face) for one in _unanswered(board, Level.REVIEW)]
    return tuple(cards)


def _answered_cards(board: Board, moment: Moment, face: Face, *, alone: bool) -> tuple[Card, ...]:
    """What a person has answered stays until it is judged."""
    answered = [one for one in board.alarms if one.alert.level is Level.CRITICAL and not one.alert.open]
    answered = [one for one in answered if not one.alert.withdrawn]
    answered.sort(key=lambda one: one.alert.acknowledged_ns or 0, reverse=True)
    return tuple(
        alert_card(one, moment, large=alone and not number, face=face)
        for number, one in enumerate(answered[:MOST_ANSWERED_CARDS])
    )


def _bar(board: Board, moment: Moment, policy: EscalationPolicy) -> tuple[Card, ...]:
    shown = [*_unanswered(board, Level.CRITICAL), *_unanswered(board, Level.TEST)]
    return tuple(alert_card(one, moment, large=False, policy=policy) for one in shown)


def _unanswered(board: Board, level: Level) -> list[BoardAlert]:
    """Alerts of a level that nobody has answered, the one that became news last first."""
    alerts = [one for one in board.alarms if one.alert.level is level and one.alert.open]
    return sorted(alerts, key=lambda one: one.news.id, reverse=True)


def _calm(board: Board, moment: Moment) -> Calm:
    landed_ns = board.last_landed_ns
    if landed_ns is None:
        return Calm(word=NOTHING_YET, words="This box has never seen a scan.", facts=(("0", "head CT today"),))
    words = wording.landing(sum(study.may_be_head for study in board.landing))
    if board.counts.heads == 0:
        words = f"No head CT today. Last slice {moment.calendar.spoken(landed_ns, moment.now_ns)}."
    if faults := len(board.technical):
        words += f" {wording.count(faults, 'technical alert is', 'technical alerts are')} open."
    slow = any(one.alert.key.first in SLOW for one in board.technical)
    return Calm(
        word="Watching, slowly" if slow else "Watching",
        words=f"Nothing to acknowledge. {words}",
        facts=(
            (moment.age("last-landing", landed_ns, AGO), "since the last slice"),
            (str(board.counts.heads), "head CT today"),
            (str(board.counts.not_analysed), "not analysed today"),
        ),
    )


def _tested(board: Board, moment: Moment) -> str:
    """What became of the last test alarm: a test that nobody answered is a finding."""
    test = board.last_test
    if test is None:
        return "No test alarm has been run yet."
    at = moment.calendar.spoken(test.raised_ns, moment.now_ns)
    if test.state is AlertState.TEST_UNSEEN:
        return f"A test alarm is running since {moment.calendar.clock(test.raised_ns)}."
    if test.acknowledged_ns is None:
        return f"Last test alarm {at}: nobody answered."
    return f"Last test alarm {at}: seen and heard by {test.acknowledged_by}."


def _title(board: Board, *, blind: bool) -> str:
    """The level, never a name: titles stand in histories and task bars."""
    if critical := _unanswered(board, Level.CRITICAL):
        return f"CRITICAL: {len(critical)} open"
    if blind:
        return "BLIND"
    if _unanswered(board, Level.TEST):
        return "TEST"
    if review := _unanswered(board, Level.REVIEW):
        return f"REVIEW: {len(review)} open"
    return f"NOT ANALYSED: {len(board.unseen)} to be seen" if board.unseen else "Watching"
