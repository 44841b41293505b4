"""Messages of one channel under way: a thread each, because a network may take its time and the ledger has one writer."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from appliance.core.delivery import Answer
from appliance.core.ledger import DeliveryRow
from appliance.core.times import Now
from appliance.courier.channel import Message

AT_ONCE: Final = 12
PATIENT_AT_ONCE: Final = 6
"""Of messages that are repeated, or tell of no bleed. Whatever of these hangs, the first word of a CRITICAL has room."""
OVERDUE_S: Final = 30.0
"""Each timeout bounds one step. An answer that comes byte by byte passes them all, and is not waited for."""
THREADS_MOST: Final = 36
"""With those that are not waited for any more. A channel that lets them all hang gets nothing new until one ends."""


@dataclass(slots=True, eq=False)
class Sending:
    """One message under way. `urgent`: the first word of a CRITICAL."""

    delivery: DeliveryRow
    began: Now
    urgent: bool
    answer: Answer | None = None  # set by its thread, once


class Senders:
    """What is under way. A message stays until `forget`, so that an answer that could not be recorded is not lost.

    The threads are daemons: a channel that hangs does not hold up the end of the program.
    """

    def __init__(self, name: str, send: Callable[[Message], Answer]) -> None:
        self._name = name
        self._send = send
        self._under_way: dict[int, Sending] = {}
        self._late: list[Sending] = []
        self._threads: list[threading.Thread] = []

    @property
    def busy(self) -> bool:
        """Whether anything is under way."""
        return bool(self._under_way)

    def has(self, delivery_id: int) -> bool:
        """Whether this message is under way."""
        return delivery_id in self._under_way

    def choose(self, urgent: list[DeliveryRow], patient: list[DeliveryRow]) -> list[DeliveryRow]:
        """What may start now, each list by its own order."""
        self._threads = [one for one in self._threads if one.is_alive()]
        room = min(AT_ONCE - len(self._under_way), THREADS_MOST - len(self._threads))
        for_patient = PATIENT_AT_ONCE - sum(not sending.urgent for sending in self._under_way.values())
        return [*urgent, *patient[: max(0, for_patient)]][: max(0, room)]

    def start(self, delivery: DeliveryRow, compose: Callable[[], Message], now: Now, *, urgent: bool) -> None:
        """Makes the message and sends it, in a thread."""
        sending = Sending(delivery=delivery, began=now, urgent=urgent)
        self._under_way[delivery.id] = sending
        thread = threading.Thread(target=self._run, args=(sending, compose), name=self._name, daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the system gives no more of them: the other channels go on
            sending.answer = Answer(taken=False, error="NoThread")
        else:
            self._threads.append(thread)

    def renumber(self, moved: Mapping[int, DeliveryRow]) -> None:
        """Messages that have another row now, by their ids so far."""
        for sending in (*self._under_way.values(), *self._late):
            sending.delivery = moved.get(sending.delivery.id, sending.delivery)
        self._under_way = {sending.delivery.id: sending for sending in self._under_way.values()}

    def drop(self, homeless: Callable[[int], bool]) -> None:
        """Messages that have no row any more: there is nowhere to record what comes of them."""
        self._under_way = {id_: sending for id_, sending in self._under_way.items() if not homeless(id_)}
        self._late = [sending for sending in self._late if not homeless(sending.delivery.id)]

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
        sending = self._under_way.pop(delivery_id)
        if sending.answer is None:
            self._late.append(sending)

    def taken_late(self) -> list[Sending]:
        """What was not waited for any more and has been taken after all, unless it is just being repeated.

        It stays until `forget_late`.
        """
        refused = [one for one in self._late if one.answer is not None and not one.answer.taken]
        self._late = [one for one in self._late if one not in refused]
        return [one for one in self._late if one.answer is not None and not self.has(one.delivery.id)]

    def forget_late(self, sending: Sending) -> None:
        """That it was taken stands in the ledger."""
        self._late.remove(sending)

    def _run(self, sending: Sending, compose: Callable[[], Message]) -> None:
        try:
            sending.answer = self._send(compose())
        except Exception as error:  # noqa: BLE001 - the border of a thread: a message must not stay under way for ever
            sending.answer = Answer(taken=False, error=type(error).__name__)
