"""Messages of one channel under way: a thread each, because a network may take its time and the ledger has one writer."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from appliance.core.delivery import Answer
from appliance.core.ledger import DeliveryRow
from appliance.core.times import Now
from appliance.courier.channel import Message

AT_ONCE: Final = 6
RETRIES_AT_ONCE: Final = 3
"""A channel that lets old messages hang must not keep the first word of a new alert waiting."""
OVERDUE_S: Final = 30.0
"""Each timeout bounds one step. An answer that comes byte by byte passes them all, and is not waited for."""
THREADS_MOST: Final = 24
"""With those that are not waited for any more. A channel that lets them all hang gets nothing new until one ends."""


@dataclass(slots=True)
class Sending:
    """One message under way."""

    delivery: DeliveryRow
    began: Now
    answer: Answer | None = None  # set by its thread, once


class Senders:
    """What is under way. A message stays until `forget`, so that an answer that could not be recorded is not lost.

    The threads are daemons: a channel that hangs does not hold up the end of the program.
    """

    def __init__(self, name: str, send: Callable[[Message], Answer]) -> None:
        self._name = name
        self._send = send
        self._under_way: dict[int, Sending] = {}
        self._threads: list[threading.Thread] = []

    @property
    def busy(self) -> bool:
        """Whether anything is under way."""
        return bool(self._under_way)

    def has(self, delivery_id: int) -> bool:
        """Whether this message is under way."""
        return delivery_id in self._under_way

    def choose(self, waiting: list[DeliveryRow]) -> list[DeliveryRow]:
        """What may start now: first attempts before others, and never only repeated ones under way."""
        self._threads = [one for one in self._threads if one.is_alive()]
        fresh = [one for one in waiting if one.attempts == 0]
        repeated = sum(sending.delivery.attempts > 0 for sending in self._under_way.values())
        again = [one for one in waiting if one.attempts > 0][: max(0, RETRIES_AT_ONCE - repeated)]
        room = min(AT_ONCE - len(self._under_way), THREADS_MOST - len(self._threads))
        return [*fresh, *again][: max(0, room)]

    def start(self, delivery: DeliveryRow, message: Message, now: Now) -> None:
        """Sends in a thread."""
        sending = Sending(delivery=delivery, began=now)
        self._under_way[delivery.id] = sending
        thread = threading.Thread(target=self._run, args=(sending, message), name=self._name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def answered(self, now: Now) -> list[tuple[Sending, Answer]]:
        """What has come back, or is no longer waited for: it may have told people all the same."""
        overdue = Answer(taken=False, error="Overdue", unsure=True)
        return [
            (one, one.answer or overdue)
            for one in self._under_way.values()
            if one.answer is not None or now.monotonic_s - one.began.monotonic_s > OVERDUE_S
        ]

    def forget(self, delivery_id: int) -> None:
        """Its answer stands in the ledger."""
        del self._under_way[delivery_id]

    def _run(self, sending: Sending, message: Message) -> None:
        try:
            sending.answer = self._send(message)
        except Exception as error:  # noqa: BLE001 - the border of a thread: a message must not stay under way for ever
            sending.answer = Answer(taken=False, error=type(error).__name__)
