"""The rounds of the courier: what is owed is sent, and what came of it is recorded.

Sending waits for a network, so it happens in a few threads; the ledger is written by the one thread that calls `tick`.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from appliance.core.alerts import Happening
from appliance.core.delivery import Answer, Fate, next_attempt
from appliance.core.ledger import DeliveryRow
from appliance.core.times import Now
from appliance.courier.message import Told, body
from appliance.courier.policy import WEBHOOK
from appliance.courier.webhook import Webhook
from appliance.records.alerts import append_event, events_of, existing_alert
from appliance.records.deliveries import (
    delivery_dead,
    delivery_done,
    delivery_failed,
    due_deliveries,
    enqueue_missing,
    next_due_ns,
    owed,
)
from appliance.records.ledger import Connection, Ledger
from appliance.records.readings import latest_reading
from appliance.records.studies import study_by_id

AT_ONCE: Final = 6
"""Messages under way. One that hangs keeps one thread, for as long as the timeouts allow."""
RETRIES_AT_ONCE: Final = 3
"""A gateway that lets old messages hang must not keep the first word of a new alert waiting."""
LOOK_AGAIN_NS: Final = 100_000_000
FOR_EVER_NS: Final = 2**62

Sent = tuple[Answer, str]


class Rounds:
    """The outbox of the webhook. All state that matters lies in the ledger; after a restart nothing is lost."""

    def __init__(
        self,
        ledger: Ledger,
        webhook: Webhook,
        link: str,
        random: Callable[[], float],
        wall_ns: Callable[[], int],
    ) -> None:
        self._ledger = ledger
        self._webhook = webhook
        self._link = link
        self._random = random
        self._wall_ns = wall_ns
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="webhook")
        self._under_way: dict[int, tuple[DeliveryRow, Future[Sent]]] = {}
        self._seen_version: int | None = None
        self._due_ns: int | None = None
        self._first = True
        self.failing_since_s: float | None = None  # monotonic; None while the gateway answers or was never tried

    def tick(self, now: Now) -> None:
        """One round: records what has come back, makes what is owed, sends what is due. Does not wait for a network."""
        self._record_answers(now)
        version = self._ledger.data_version()
        due = self._due_ns is not None and now.wall_ns >= self._due_ns
        if version == self._seen_version and not due:
            return
        with self._ledger.reading() as r:
            missing = owed(r, WEBHOOK)
        if missing:
            with self._ledger.writing() as w:
                enqueue_missing(w, WEBHOOK, now.wall_ns)
        # After a restart nobody's patience counts: what is still owed is told at once.
        due_ns = FOR_EVER_NS if self._first else now.wall_ns
        with self._ledger.reading() as r:
            told = [_told(r, one) for one in self._chosen(due_deliveries(r, due_ns))]
        for one in told:
            self._start(one)
        self._first = False
        self._seen_version = version
        with self._ledger.reading() as r:
            self._due_ns = now.wall_ns + LOOK_AGAIN_NS if self._under_way else next_due_ns(r)

    def _chosen(self, ready: list[DeliveryRow]) -> list[DeliveryRow]:
        """What may start now: first attempts before retries, and never only retries under way."""
        waiting = [one for one in ready if one.id not in self._under_way]
        fresh = [one for one in waiting if one.attempts == 0]
        retried = sum(delivery.attempts > 0 for delivery, _ in self._under_way.values())
        again = [one for one in waiting if one.attempts > 0][: max(0, RETRIES_AT_ONCE - retried)]
        return [*fresh, *again][: max(0, AT_ONCE - len(self._under_way))]

    def close(self, wait: bool = True) -> None:
        """Ends the threads. What is under way and not recorded is sent again after a restart, under the same key."""
        self._pool.shutdown(wait=wait, cancel_futures=True)

    @property
    def busy(self) -> bool:
        """Whether messages are under way."""
        return bool(self._under_way)

    def _start(self, told: Told) -> None:
        payload = body(told, self._link)
        key = told.delivery.idempotency_key
        sent = self._pool.submit(lambda: self._webhook.send(key, payload, self._wall_ns()))
        self._under_way[told.delivery.id] = (told.delivery, sent)

    def _record_answers(self, now: Now) -> None:
        for delivery, sent in [one for one in self._under_way.values() if one[1].done()]:
            answer, error = sent.result()
            with self._ledger.writing() as w:
                fate = self._record(w, delivery, answer, error, now)
            del self._under_way[delivery.id]
            if fate is Fate.DONE:
                self.failing_since_s = None
            elif self.failing_since_s is None:
                self.failing_since_s = now.monotonic_s
            self._seen_version = None

    def _record(self, w: Connection, delivery: DeliveryRow, answer: Answer, error: str, now: Now) -> Fate:
        following = next_attempt(
            answer,
            attempts=delivery.attempts + 1,
            created_ns=delivery.created_ns,
            now_ns=now.wall_ns,
            random=self._random,
        )
        if following.fate is Fate.DONE:
            delivery_done(w, delivery.id, at_ns=now.wall_ns, status=answer.status)
            self._append(w, delivery, Happening.DELIVERED, now, "")
        elif following.due_ns is not None:
            delivery_failed(w, delivery.id, due_ns=following.due_ns, status=answer.status, error=error)
            # The first failure is news; the thousandth is not.
            if delivery.attempts == 0:
                self._append(w, delivery, Happening.FAILED, now, error)
        else:
            delivery_dead(w, delivery.id, at_ns=now.wall_ns, status=answer.status, error=error)
            self._append(w, delivery, Happening.FAILED, now, error, dead="yes")
        return following.fate

    def _append(
        self, w: Connection, delivery: DeliveryRow, happening: Happening, now: Now, error: str, **more: str
    ) -> None:
        details = {"event": str(delivery.event_id), **({"error": error} if error else {}), **more}
        append_event(w, delivery.alert_id, happening, at_ns=now.wall_ns, by=WEBHOOK, details=details)


def _told(r: Connection, delivery: DeliveryRow) -> Told:
    alert = existing_alert(r, delivery.alert_id)
    event = next(one for one in events_of(r, delivery.alert_id) if one.id == delivery.event_id)
    return Told(
        delivery=delivery,
        alert=alert,
        event=event,
        study=study_by_id(r, alert.study_id) if alert.study_id is not None else None,
        reading=latest_reading(r, alert.series_id) if alert.series_id is not None else None,
    )
