"""The steps that are taken while nobody answers. What has been told stands in the ledger; here lies only a steady clock."""

import logging
from collections.abc import Collection, Iterable, Sequence

from appliance.core.escalation import EscalationPolicy, NextStep, Why, details_of, next_step, run_of, why_now
from appliance.core.ledger import AlertEventRow
from appliance.core.times import NS_PER_S, Now
from appliance.core.words import Level
from appliance.courier.books import Books
from appliance.records.escalations import Ringing, escalate
from appliance.records.ledger import Connection

log = logging.getLogger(__name__)


class Ladder:
    """Time on a step is the larger of what the wall clock says since its event, and what has been counted here since
    the event was first seen: a clock that is set back delays nothing, and neither does a restart."""

    def __init__(self, books: Books, policy: EscalationPolicy) -> None:
        self._books = books
        self._policy = policy
        self._seen_s: dict[int, float] = {}  # by event, on the monotonic clock
        self._starting = True

    def tick(self, ringing: Iterable[Ringing], now: Now, *, no_screen: bool, dead: Collection[str]) -> bool:
        """Takes every step that is due. Returns whether it took one.

        `no_screen`: no page can tell anybody; `dead`: channels that take no messages.
        """
        critical = [one for one in ringing if one.alert.level is Level.CRITICAL]
        events = {event.id for one in critical for event in one.events}
        self._seen_s = {event_id: self._seen_s.get(event_id, now.monotonic_s) for event_id in events}
        due = [one for one in critical if self._due(one.events, now, no_screen=no_screen, dead=dead)]
        took = 0
        if due:
            # One transaction: of many that are due at once, none waits for the disk of all the others.
            with self._books.current.writing() as w:
                took = sum(self._climb(w, one, now, no_screen=no_screen, dead=dead) for one in due)
        self._starting = False
        return took > 0

    def _climb(self, w: Connection, ringing: Ringing, now: Now, *, no_screen: bool, dead: Collection[str]) -> int:
        """Takes the steps of one alert that are due, and returns how many."""
        events, before = list(ringing.events), len(ringing.events)
        while (step := self._due(events, now, no_screen=no_screen, dead=dead)) is not None:
            following, why = step
            event = escalate(w, ringing, details_of(following, why), at_ns=now.wall_ns)
            if event is None:
                break  # a person has answered, or it rings anew
            events.append(event)
            self._seen_s[event.id] = now.monotonic_s
            facts = {"alert": ringing.alert.id, "step": following.step, "round": following.round, "why": why}
            log.warning("nobody has answered an alert: the next step is taken", extra={"facts": facts})
        return len(events) - before

    def _due(
        self, events: Sequence[AlertEventRow], now: Now, *, no_screen: bool, dead: Collection[str]
    ) -> tuple[NextStep, Why] | None:
        run = run_of(self._policy, events)
        following = next_step(self._policy, run) if run else None
        if run is None or following is None:
            return None
        why = why_now(
            self._policy,
            run,
            since_ring_s=self._since_s(run.ring.id, run.ring.at_ns, now),
            since_stage_s=self._since_s(run.stage.event_id, run.stage.at_ns, now),
            no_screen=no_screen,
            dead=dead,
            starting=self._starting,
        )
        return None if why is None else (following, why)

    def _since_s(self, event_id: int, at_ns: int, now: Now) -> float:
        counted_s = now.monotonic_s - self._seen_s.get(event_id, now.monotonic_s)
        return max((now.wall_ns - at_ns) / NS_PER_S, counted_s)
