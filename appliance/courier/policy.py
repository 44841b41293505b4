"""What the courier needs to know from the settings: which channels there are, and how long it is patient."""

from dataclasses import dataclass, field
from typing import Final

WEBHOOK: Final = "webhook"


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookPolicy:
    """A gateway that takes signed messages. Neither field is shown: an address may hold a token, and logs are read."""

    url: str = field(repr=False)
    secret: bytes = field(repr=False)
    connect_timeout_s: float = 3.0
    read_timeout_s: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CourierPolicy:
    """Who is told besides the open pages.

    `nobody_after_s`: how long nobody may be reachable before that is an alert of its own; `grace_s` the same after the
    start, when pages are still finding their server again.
    """

    webhook: WebhookPolicy | None = None
    nobody_after_s: float = 5.0
    grace_s: float = 15.0
