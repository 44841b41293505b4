"""Stopping cleanly: SIGTERM, SIGINT and a terminal that goes set a flag, and nothing else happens in the handler."""

import signal
import threading
from types import FrameType


def stop_on_signals() -> threading.Event:
    """An event that SIGTERM, SIGINT or SIGHUP sets. Call it from the main thread only."""
    stop = threading.Event()

    def ask_to_stop(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, ask_to_stop)
    signal.signal(signal.SIGINT, ask_to_stop)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup asks us to stay
        signal.signal(signal.SIGHUP, ask_to_stop)
    return stop
