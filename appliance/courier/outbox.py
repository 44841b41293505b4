"""The outbox of all channels: what is owed is sent, and what came of it is recorded. One thread calls all of it."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Final

from appliance.core.alerts import Happening
from appliance.core.delivery import LONGEST_OBEYED_S, Answer, Fate, Health, Next, next_attempt
from appliance.core.errors import Fault
from appliance.core.escalation import EscalationPolicy, owed, stage_of
from appliance.core.ledger import DeliveryRow
from appliance.core.times import NS_PER_S, Now
from appliance.core.words import Level
from appliance.courier.books import Books
from appliance.courier.channel import Channel, Message
from appliance.courier.letter import letter
from appliance.courier.message import Told, body
from appliance.courier.sending import Senders, Sending
from appliance.records.alerts import alert_by_id, append_event, existing_alert
from appliance.records.deliveries import (
    Owed,
    channel_standing,
    delivery_again,
    delivery_dead,
    delivery_done,
    delivery_done_late,
    delivery_failed,
    delivery_needless,
    delivery_postponed,
    enqueue,
    not_yet_owed,
    taken_for,
    waiting_deliveries,
)
from appliance.records.escalations import Ringing, was_told
from appliance.records.ledger import Connection
from appliance.records.notebook import begun_in_notebook, is_unrecorded
from appliance.records.readings import reading_by_id
from appliance.records.studies import study_by_id

log = logging.getLogger(__name__)

AGAIN_AFTER_S: Final = 60.0
"""Where nobody drops what comes twice, the same message is repeated no sooner, however often the courier starts."""
_SAID: Final = {
    Fate.DONE: (logging.INFO, "a channel has taken a message"),
    Fate.RETRY: (logging.WARNING, "a channel has not taken a message"),
    Fate.DEAD: (logging.ERROR, "a message is given up"),
}


class Outbox:
    """All state that matters lies in the ledger; after a restart nothing is lost."""

    def __init__(
        self,
        books: Books,
        channels: Sequence[Channel],
        policy: EscalationPolicy,
        *,
        random: Callable[[], float],
        scanner: str,
        clock_text: Callable[[int], str],
    ) -> None:
        self._books = books
        self._channels = {channel.name: channel for channel in channels}
        self._senders = {channel.name: Senders(channel.name, channel.send) for channel in channels}
        self._health = {channel.name: Health() for channel in channels}
        self._policy = policy
        self._random = random
        self._scanner = scanner
        self._clock_text = clock_text
        self._waits: dict[int, tuple[int, float]] = {}  # by message: its due time, and that on the monotonic clock

    @property
    def busy(self) -> bool:
        """Whether messages are under way."""
        return any(senders.busy for senders in self._senders.values())

    @property
    def health(self) -> dict[str, Health]:
        """Of each channel."""
        return dict(self._health)

    def start(self, ringing: Iterable[Ringing], now: Now) -> None:
        """Before the first round: what is known of the channels, and what is told again because nobody watched over it.

        Of a CRITICAL that sounds, the channels of its last step are told once more under the same key: who has heard it
        already drops it.
        """
        with self._books.current.reading() as r:
            for name, channel in self._channels.items():
                if not channel.ready or channel_standing(r, name).failing:
                    self._health[name] = Health(
                        failing_since_s=now.monotonic_s, failing_since_ns=now.wall_ns, lasting=not channel.ready
                    )
            again = [row for one in ringing for row in self._told_of_last_step(r, one) if self._may_repeat(row, now)]
            # After a restart nobody's patience counts, except where the same message would be heard twice.
            waiting = [row for row in waiting_deliveries(r) if self._drops_by_key(row.channel)]
        if again or waiting:
            with self._books.current.writing() as w:
                for row in again:
                    delivery_again(w, row.id, now_ns=now.wall_ns)
                for row in waiting:
                    delivery_postponed(w, row.id, due_ns=now.wall_ns)

    def is_due(self, now: Now) -> bool:
        """Whether the time of a message has come."""
        return any(at_s <= now.monotonic_s for _, at_s in self._waits.values())

    def owe(self, ringing: Iterable[Ringing], now: Now) -> None:
        """Makes the messages that are owed and not yet made."""
        wanted = [
            Owed(alert_id=one.alert.id, event_id=event_id, channel=channel)
            for one in ringing
            for channel, event_id in self._owed(one).items()
        ]
        with self._books.current.reading() as r:
            missing = not_yet_owed(r, wanted)
        if missing:
            with self._books.current.writing() as w:
                enqueue(w, missing, now.wall_ns)

    def send(self, ringing: Iterable[Ringing], now: Now) -> None:
        """Sends what is due. Never waits for a network."""
        by_alert = {one.alert.id: one for one in ringing}
        with self._books.current.reading() as r:
            waiting = [one for one in waiting_deliveries(r) if not self._is_under_way(one)]
            still = [one for one in waiting if self._is_owed(one, by_alert.get(one.alert_id))]
            due = self._due(still, now)
            critical = [one for one in due if by_alert[one.alert_id].alert.level is Level.CRITICAL]
            urgent = [one for one in critical if one.attempts == 0]
            # A bleed before everything else; of the rest, what has waited longest.
            patient = sorted(
                (one for one in due if one not in urgent), key=lambda one: (one not in critical, one.due_ns)
            )
            chosen = [
                one for name, to in self._senders.items() for one in to.choose(_of(name, urgent), _of(name, patient))
            ]
        told = self._told_all(chosen, by_alert)
        needless = [one for one in waiting if one not in still]
        unsure = [one for one in chosen if not self._drops_by_key(one.channel)]
        if needless or unsure:
            with self._books.current.writing() as w:
                for one in needless:
                    delivery_needless(w, one.id, at_ns=now.wall_ns)
                for one in unsure:
                    delivery_postponed(w, one.id, due_ns=now.wall_ns + round(AGAIN_AFTER_S * NS_PER_S))
        for one, of in told:
            self._senders[one.channel].start(one, partial(self._message, of), now, urgent=one in urgent)
            self._waits.pop(one.id)

    def record(self, now: Now) -> bool:
        """Records what has come back. Returns whether anything has."""
        late = self._record_late(now)
        answered = [each for senders in self._senders.values() for each in senders.answered(now)]
        if not answered:
            return late
        with self._books.current.writing() as w:
            # A ledger that cannot be read has left its alerts out of the notebook: their answers wait.
            known = [each for each in answered if alert_by_id(w, each[0].delivery.alert_id) is not None]
            followed = [(*each, self._following(w, each[0].delivery, each[1], now)) for each in known]
            for sending, answer, following in followed:
                _record(w, sending.delivery, answer, following, now)
        for sending, answer, following in followed:
            row = sending.delivery
            self._senders[row.channel].forget(row.id)
            self._note_health(sending, answer)
            level, said = _SAID[following.fate]
            facts = {"channel": row.channel, "alert": row.alert_id, "alert_event": row.event_id}
            outcome = answer.error or answer.status
            log.log(level, said, extra={"facts": {**facts, "attempt": row.attempts + 1, "answer": outcome}})
        return late or bool(followed)

    def _record_late(self, now: Now) -> bool:
        """What was counted as failed because it took too long, and was taken after all, is not told once more."""
        late = [(to, sending) for to in self._senders.values() for sending in to.taken_late()]
        for to, sending in late:
            row, answer = sending.delivery, sending.answer
            assert answer is not None
            with self._books.current.writing() as w:
                if delivery_done_late(w, row.id, at_ns=now.wall_ns, status=answer.status):
                    _say_delivered(w, row, answer, now)
            to.forget_late(sending)
            self._note_health(sending, answer)
        return bool(late)

    def _due(self, waiting: list[DeliveryRow], now: Now) -> list[DeliveryRow]:
        """Those whose time has come. How long one waits is counted steadily from when its time was first seen."""
        known = self._waits
        self._waits = {
            one.id: known[one.id]
            if known.get(one.id, (None,))[0] == one.due_ns
            else (one.due_ns, now.monotonic_s + _wait_s(one.due_ns, now))
            for one in waiting
        }
        return [one for one in waiting if self._waits[one.id][1] <= now.monotonic_s]

    def moved(self, rows: Mapping[int, DeliveryRow]) -> None:
        """Messages have other rows now, in the ledger, by the ids that they had in the notebook."""
        for senders in self._senders.values():
            senders.renumber(rows)
            senders.drop(begun_in_notebook)
        self._waits.clear()

    def close(self) -> None:
        """Ends the channels. What is under way and not recorded is sent again after a restart, under the same key."""
        for channel in self._channels.values():
            channel.close()

    def _note_health(self, sending: Sending, answer: Answer) -> None:
        name, began = sending.delivery.channel, sending.began
        self._health[name] = self._health[name].after(answer, began_s=began.monotonic_s, began_ns=began.wall_ns)

    def _owed(self, ringing: Ringing) -> dict[str, int]:
        found = owed(self._policy, ringing.events, code=ringing.code)
        # That a channel does not work is nothing that it can tell.
        return {
            channel: event_id
            for channel, event_id in found.items()
            if channel in self._channels and not (ringing.code and ringing.alert.key.second == channel)
        }

    def _is_owed(self, row: DeliveryRow, ringing: Ringing | None) -> bool:
        """What a person has answered needs no telling; what has sounded anew, or gone a step on, has a newer message."""
        return ringing is not None and self._owed(ringing).get(row.channel) == row.event_id

    def _is_under_way(self, row: DeliveryRow) -> bool:
        senders = self._senders.get(row.channel)
        return senders is not None and senders.has(row.id)

    def _drops_by_key(self, name: str) -> bool:
        channel = self._channels.get(name)
        return channel is not None and channel.drops_by_key

    def _told_of_last_step(self, r: Connection, ringing: Ringing) -> list[DeliveryRow]:
        stage = stage_of(self._policy, ringing.events)
        if ringing.alert.level is not Level.CRITICAL or stage is None:
            return []
        return [row for row in taken_for(r, stage.event_id) if self._is_owed(row, ringing)]

    def _may_repeat(self, row: DeliveryRow, now: Now) -> bool:
        since_ns = abs(now.wall_ns - (row.ended_ns or 0))
        return self._drops_by_key(row.channel) or since_ns >= AGAIN_AFTER_S * NS_PER_S

    def _following(self, r: Connection, row: DeliveryRow, answer: Answer, now: Now) -> Next:
        return next_attempt(
            answer,
            attempts=row.attempts + 1,
            sounds=existing_alert(r, row.alert_id).sounds,
            now_ns=now.wall_ns,
            random=self._random,
        )

    def _told_all(self, rows: Sequence[DeliveryRow], by_alert: Mapping[int, Ringing]) -> list[tuple[DeliveryRow, Told]]:
        """What each message is made of. Studies and readings stand in the ledger alone: if that cannot even be read, it is
        told without them."""
        if not rows:
            return []
        try:
            with self._books.ledger.reading() as r:
                return [(one, _told(r, one, by_alert[one.alert_id])) for one in rows]
        except Fault:
            return [(one, _told(None, one, by_alert[one.alert_id])) for one in rows]

    def _message(self, told: Told) -> Message:
        said = letter(told, self._scanner, self._clock_text)
        return Message(idempotency_key=told.delivery.idempotency_key, payload=body(told), letter=said)


def _told(r: Connection | None, row: DeliveryRow, ringing: Ringing) -> Told:
    ring = ringing.events[0]
    study_id = ringing.alert.study_id
    reading = reading_by_id(r, ring.reading_id) if r is not None and ring.reading_id is not None else None
    return Told(
        delivery=row,
        alert=ringing.alert,
        ring=ring,
        event=next(event for event in ringing.events if event.id == row.event_id),
        study=study_by_id(r, study_id) if r is not None and study_id is not None else None,
        reading=reading,
        recorded=not is_unrecorded(ringing.alert),
    )


def _of(name: str, rows: list[DeliveryRow]) -> list[DeliveryRow]:
    return [one for one in rows if one.channel == name]


def _wait_s(due_ns: int, now: Now) -> float:
    """Until then; nothing where it lies further ahead than any back-off, because the clock was set back meanwhile."""
    wait_s = (due_ns - now.wall_ns) / NS_PER_S
    return wait_s if 0 < wait_s <= LONGEST_OBEYED_S else 0.0


def _record(w: Connection, row: DeliveryRow, answer: Answer, following: Next, now: Now) -> None:
    if following.fate is Fate.DONE:
        delivery_done(w, row.id, at_ns=now.wall_ns, status=answer.status)
        _say_delivered(w, row, answer, now)
    elif following.due_ns is not None:
        delivery_failed(w, row.id, due_ns=following.due_ns, status=answer.status, error=answer.error)
        if row.attempts == 0:  # the first failure is news; the hundredth is not
            _append(w, row, Happening.FAILED, now, error=answer.error)
    else:
        delivery_dead(w, row.id, at_ns=now.wall_ns, status=answer.status, error=answer.error)
        _append(w, row, Happening.FAILED, now, error=answer.error, dead="yes")


def _say_delivered(w: Connection, row: DeliveryRow, answer: Answer, now: Now) -> None:
    if not was_told(w, row.alert_id, row.event_id, row.channel):  # told again after a restart it is no news
        _append(w, row, Happening.DELIVERED, now, **({"partly": answer.error} if answer.error else {}))


def _append(w: Connection, row: DeliveryRow, happening: Happening, now: Now, **details: str) -> None:
    details = {"event": str(row.event_id), **details}
    append_event(w, row.alert_id, happening, at_ns=now.wall_ns, by=row.channel, details=details)
