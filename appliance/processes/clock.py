"""The clocks of the machine."""

import time

from appliance.core.times import Now


def now() -> Now:
    """Both clocks, read together."""
    return Now(time.monotonic(), time.time_ns())
