"""Messages under way: a thread each, because a network may take its time and the ledger has one writer."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from appliance.core.delivery import Answer
from appliance.core.ledger import DeliveryRow
from appliance.core.times import Now
from appliance.courier.webhook import Sent

AT_ONCE: Final = 6
RETRIES_AT_ONCE: Final = 3
"""A gateway that lets old messages hang must not keep the first word of a new alert waiting."""
OVERDUE_S: Final = 30.0
"""Each timeout bounds one step. An answer that comes byte by byte passes them all, and is not waited for."""


@dataclass(slots=True)
class _Sending:
    delivery: DeliveryRow
    began_s: float
    sent: Sent | None = None  # set by its thread, once


class Senders:
    """What is under way. A message stays until `forget`, so that an answer that could not be recorded is not lost.

    The threads are daemons: a gateway that hangs does not hold up the end of the program.
    """

    def __init__(self, send: Callable[[str, bytes], Sent]) -> None:
        self._send = send
        self._under_way: dict[int, _Sending] = {}

    @property
    def busy(self) -> bool:
        """Whether anything is under way."""
        return bool(self._under_way)

    def has(self, delivery_id: int) -> bool:
        """Whether this message is under way."""
        return delivery_id in self._under_way

    def choose(self, waiting: list[DeliveryRow]) -> list[DeliveryRow]:
        """What may start now: first attempts before others, and never only repeated ones under way."""
        fresh = [one for one in waiting if one.attempts == 0]
        repeated = sum(sending.delivery.attempts > 0 for sending in self._under_way.values())
        again = [one for one in waiting if one.attempts > 0][: max(0, RETRIES_AT_ONCE - repeated)]
        return [*fresh, *again][: max(0, AT_ONCE - len(self._under_way))]

    def start(self, delivery: DeliveryRow, payload: bytes, now: Now) -> None:
        """Sends in a thread."""
        sending = _Sending(delivery=delivery, began_s=now.monotonic_s)
        self._under_way[delivery.id] = sending
        threading.Thread(target=self._run, args=(sending, payload), name="webhook", daemon=True).start()

    def answered(self, now: Now) -> list[tuple[DeliveryRow, Sent]]:
        """What has come back, or is no longer waited for."""
        overdue = (Answer(status=None), "Overdue")
        return [
            (one.delivery, one.sent or overdue)
            for one in self._under_way.values()
            if one.sent is not None or now.monotonic_s - one.began_s > OVERDUE_S
        ]

    def forget(self, delivery_id: int) -> None:
        """Its answer stands in the ledger."""
        del self._under_way[delivery_id]

    def _run(self, sending: _Sending, payload: bytes) -> None:
        try:
            sending.sent = self._send(sending.delivery.idempotency_key, payload)
        except Exception as error:  # noqa: BLE001 - the border of a thread: a message must not stay under way for ever
            sending.sent = Answer(status=None), type(error).__name__
