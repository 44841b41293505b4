"""The loop of every program: tick, beat, rest. All state belongs to the one thread that runs it."""

import threading
from collections.abc import Callable

from appliance.core.status import BEAT_S
from appliance.core.times import Now
from appliance.processes.clock import now
from appliance.processes.notify import ServiceManager


def run_ticks(
    tick: Callable[[Now], None],
    *,
    stop: threading.Event,
    rest: Callable[[], None],
    beat: Callable[[Now], None],
    manager: ServiceManager,
    hurry: Callable[[], bool] = lambda: False,
) -> None:
    """Calls `tick` until `stop` is set, and `beat` once a second after a tick that came back.

    The service manager hears of each tick that came back, and of the end when it begins: a tick that hangs is silent.

    `hurry`: whether the beat has something to say that cannot wait; `rest` waits for the next reason to work, a few milliseconds to a tenth of a second.
    """
    last_beat_s = float("-inf")
    while not stop.is_set():
        moment = now()
        tick(moment)
        if moment.monotonic_s - last_beat_s >= BEAT_S or hurry():
            last_beat_s = moment.monotonic_s
            beat(moment)
        manager.turned(moment)
        rest()
    manager.stopping()
