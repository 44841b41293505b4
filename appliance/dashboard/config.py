"""What the board needs to know from the settings."""

from dataclasses import dataclass, field
from pathlib import Path

from appliance.core.errors import CannotStart
from appliance.core.escalation import EscalationPolicy
from appliance.core.quiet import WorkingTime
from appliance.settings import is_loopback


@dataclass(frozen=True, slots=True, kw_only=True)
class DashboardConfig:
    """How the board is served and how it calls things.

    `people` are the names offered to who acknowledges; any other may be typed. `linger_h` is how long an acknowledged
    alert stays on the board. `time_zone` is an IANA name; empty is the zone of the box. `escalation`: who is told next, as
    the courier goes by it. `inbox`: the landing folder, which the page System counts for itself. `working_time`: when
    it is odd that nothing lands. `kiosk_names`: whether the wall screen may say whole names.
    """

    name: str = "CT"
    people: tuple[str, ...] = ()
    host: str = "127.0.0.1"
    port: int = 8080
    linger_h: float = 12.0
    time_zone: str = ""
    escalation: EscalationPolicy = field(default_factory=EscalationPolicy)
    inbox: Path | None = None
    working_time: WorkingTime = field(default_factory=WorkingTime)
    kiosk_names: bool = False

    @property
    def hosts(self) -> frozenset[str]:
        """Host headers that are answered. All else may come from a page elsewhere whose name was bent to this box."""
        return frozenset({f"localhost:{self.port}", f"127.0.0.1:{self.port}", f"[::1]:{self.port}"})


def check_address(config: DashboardConfig) -> None:
    """CannotStart, in words, for an address that others than this box can reach."""
    if not is_loopback(config.host):
        raise CannotStart(
            f"The board cannot be served on {config.host}: it has no users and no certificate yet, so it is kept to "
            "this box. Set dashboard.host to 127.0.0.1."
        )
