"""What the courier needs to know from the settings: its channels, its ladder, and how long it is patient."""

from dataclasses import dataclass, field
from enum import StrEnum

from appliance.core.escalation import EscalationPolicy


class Security(StrEnum):
    """How the way to a mail server is protected."""

    STARTTLS = "starttls"
    TLS = "tls"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookPolicy:
    """A gateway that takes signed messages. An address may hold a token, and logs are read: neither is shown."""

    name: str
    url: str = field(repr=False)
    secret: bytes = field(repr=False)
    connect_timeout_s: float = 3.0
    read_timeout_s: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EmailPolicy:
    """A mail server, and who is written to. Without a `user` nobody logs in."""

    name: str
    host: str
    port: int
    sender: str
    to: tuple[str, ...] = field(repr=False)
    security: Security = Security.STARTTLS
    user: str = ""
    password: str = field(default="", repr=False)
    timeout_s: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandPolicy:
    """A program that tells somebody, or rings something. Its words may hold a token."""

    name: str
    argv: tuple[str, ...] = field(repr=False)
    timeout_s: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreadyPolicy:
    """A channel that is set and cannot work. `said`: why, and the next step."""

    name: str
    said: str


ChannelPolicy = WebhookPolicy | EmailPolicy | CommandPolicy | UnreadyPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class CourierPolicy:
    """Who is told besides the open pages. `scanner` is the name that stands in letters.

    `nobody_after_s`: how long nobody may be reachable before that is an alert of its own; `grace_s` the same after the
    start, when pages are still finding their server again; `screen_after_s`: how long no page may be live before the
    next step is taken for that reason, so that a page which is being loaded again calls nobody.
    """

    channels: tuple[ChannelPolicy, ...] = ()
    escalation: EscalationPolicy = field(default_factory=EscalationPolicy)
    scanner: str = "CT"
    nobody_after_s: float = 5.0
    grace_s: float = 15.0
    screen_after_s: float = 3.0
