"""What the courier needs to know from the settings: which channels there are, and how long it is patient."""

from dataclasses import dataclass
from typing import Final

WEBHOOK: Final = "webhook"


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookPolicy:
    """A gateway that takes signed messages. `link` is where the board is opened, as people on the network know it."""

    url: str
    secret: bytes
    link: str = ""
    connect_timeout_s: float = 3.0
    read_timeout_s: float = 10.0

    def __repr__(self) -> str:
        """Without the secret: reprs end in logs."""
        return f"WebhookPolicy(url={self.url!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class CourierPolicy:
    """Who is told besides the open pages.

    `nobody_after_s`: how long nobody may be reachable before that is an alert of its own.
    """

    webhook: WebhookPolicy | None = None
    nobody_after_s: float = 30.0
