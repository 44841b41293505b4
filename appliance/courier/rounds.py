"""The rounds of the courier: what is owed is sent, and what came of it is recorded. One thread calls all of it."""

import logging
from collections.abc import Callable
from typing import Final

from appliance.core.alerts import Happening
from appliance.core.delivery import LONGEST_OBEYED_S, Answer, Fate, Next, next_attempt
from appliance.core.ledger import AlertRow, DeliveryRow
from appliance.core.times import NS_PER_S, Now
from appliance.courier.message import Told, body
from appliance.courier.policy import WEBHOOK
from appliance.courier.sending import Senders
from appliance.courier.webhook import Webhook
from appliance.records.alerts import append_event, events_of, existing_alert
from appliance.records.deliveries import (
    delivery_dead,
    delivery_done,
    delivery_failed,
    delivery_needless,
    due_deliveries,
    enqueue_missing,
    last_attempt_failed,
    owed,
)
from appliance.records.ledger import Connection, Ledger
from appliance.records.readings import reading_by_id
from appliance.records.studies import study_by_id

log = logging.getLogger(__name__)

_FOR_EVER_NS: Final = 2**62
_SAID: Final = {
    Fate.DONE: (logging.INFO, "the gateway has taken a message"),
    Fate.RETRY: (logging.WARNING, "the gateway has not taken a message"),
    Fate.DEAD: (logging.ERROR, "a message is given up"),
}


class Rounds:
    """The outbox of the webhook. All state that matters lies in the ledger; after a restart nothing is lost."""

    def __init__(self, ledger: Ledger, webhook: Webhook, *, random: Callable[[], float]) -> None:
        self._ledger = ledger
        self._random = random
        self._senders = Senders(webhook.send)
        self._seen_version: int | None = None
        self._due_ns: int | None = None
        self._first = True
        self._failing = False

    @property
    def busy(self) -> bool:
        """Whether messages are under way."""
        return self._senders.busy

    @property
    def failing(self) -> bool:
        """Whether the last answer was no, or none came; after a start what the ledger says. False before any."""
        return self._failing

    def tick(self, now: Now) -> None:
        """One round: records what has come back, makes what is owed, sends what is due. Never waits for a network."""
        self.record(now)
        if self._first and not self.busy:
            with self._ledger.reading() as r:
                self._failing = last_attempt_failed(r, WEBHOOK)
        version = self._ledger.data_version()
        if version == self._seen_version and (self._due_ns is None or not _is_due(self._due_ns, now)):
            return
        self._make_owed(now)
        self._send_due(now)
        self._first = False
        self._seen_version = version

    def record(self, now: Now) -> None:
        """Records what has come back."""
        for delivery, (answer, error) in self._senders.answered(now):
            with self._ledger.writing() as w:
                following = self._following(w, delivery, answer, now)
                _record(w, delivery, answer, error, following, now)
            self._senders.forget(delivery.id)
            self._failing = following.fate is not Fate.DONE
            self._seen_version = None
            level, said = _SAID[following.fate]
            facts = {"alert": delivery.alert_id, "alert_event": delivery.event_id, "attempt": delivery.attempts + 1}
            log.log(level, said, extra={"facts": {**facts, "answer": error or answer.status}})

    def _following(self, r: Connection, delivery: DeliveryRow, answer: Answer, now: Now) -> Next:
        return next_attempt(
            answer,
            attempts=delivery.attempts + 1,
            sounds=_is_owed(delivery, existing_alert(r, delivery.alert_id)),
            now_ns=now.wall_ns,
            random=self._random,
        )

    def _make_owed(self, now: Now) -> None:
        with self._ledger.reading() as r:
            missing = owed(r, WEBHOOK)
        if missing:
            with self._ledger.writing() as w:
                enqueue_missing(w, WEBHOOK, now.wall_ns)

    def _send_due(self, now: Now) -> None:
        with self._ledger.reading() as r:
            waiting = [one for one in due_deliveries(r, _FOR_EVER_NS) if not self._senders.has(one.id)]
            alerts = {one.alert_id: existing_alert(r, one.alert_id) for one in waiting}
            needless = [one for one in waiting if not _is_owed(one, alerts[one.alert_id])]
            still = [one for one in waiting if one not in needless]
            # After a restart nobody's patience counts: what is still owed is told at once.
            due = [one for one in still if self._first or _is_due(one.due_ns, now)]
            told = [_told(r, one, alerts[one.alert_id]) for one in self._senders.choose(due)]
        if needless:
            with self._ledger.writing() as w:
                for one in needless:
                    delivery_needless(w, one.id, at_ns=now.wall_ns)
        for each in told:
            self._senders.start(each.delivery, body(each), now)
        left = [now.wall_ns if one in due else one.due_ns for one in still if not self._senders.has(one.id)]
        self._due_ns = min(left, default=None)


def _is_due(due_ns: int, now: Now) -> bool:
    """Its time has come; or lies further ahead than any back-off, because the clock was set back."""
    return not 0 < due_ns - now.wall_ns <= LONGEST_OBEYED_S * NS_PER_S


def _is_owed(delivery: DeliveryRow, alert: AlertRow) -> bool:
    """What a person has answered needs no telling; what has sounded anew has a newer message."""
    return alert.sounds and alert.sounding_event_id == delivery.event_id


def _told(r: Connection, delivery: DeliveryRow, alert: AlertRow) -> Told:
    event = next(one for one in events_of(r, delivery.alert_id) if one.id == delivery.event_id)
    return Told(
        delivery=delivery,
        alert=alert,
        event=event,
        study=study_by_id(r, alert.study_id) if alert.study_id is not None else None,
        reading=reading_by_id(r, event.reading_id) if event.reading_id is not None else None,
    )


def _record(w: Connection, delivery: DeliveryRow, answer: Answer, error: str, following: Next, now: Now) -> None:
    if following.fate is Fate.DONE:
        delivery_done(w, delivery.id, at_ns=now.wall_ns, status=answer.status)
        _append(w, delivery, Happening.DELIVERED, now)
    elif following.due_ns is not None:
        delivery_failed(w, delivery.id, due_ns=following.due_ns, status=answer.status, error=error)
        if delivery.attempts == 0:  # the first failure is news; the hundredth is not
            _append(w, delivery, Happening.FAILED, now, error=error)
    else:
        delivery_dead(w, delivery.id, at_ns=now.wall_ns, status=answer.status, error=error)
        _append(w, delivery, Happening.FAILED, now, error=error, dead="yes")


def _append(w: Connection, delivery: DeliveryRow, happening: Happening, now: Now, **details: str) -> None:
    details = {"event": str(delivery.event_id), **details}
    append_event(w, delivery.alert_id, happening, at_ns=now.wall_ns, by=WEBHOOK, details=details)
