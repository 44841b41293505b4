"""One attempt to hand a message to the gateway."""

import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from appliance.core.delivery import Answer
from appliance.core.times import NS_PER_S
from appliance.courier.message import headers
from appliance.courier.policy import WebhookPolicy

Sent = tuple[Answer, str]
"""The answer, and in a word what went wrong (empty if nothing)."""


class Webhook:
    """The gateway. Several threads may send at once.

    Its certificate must be one that the system trusts: a hospital's own authority is added there. No redirect is
    followed and no proxy taken from the environment: who points elsewhere is not the gateway that was set. Each message
    has a connection of its own: alerts are rare, and a kept connection may be dead without saying so.
    """

    def __init__(self, policy: WebhookPolicy, wall_ns: Callable[[], int]) -> None:
        self._policy = policy
        self._wall_ns = wall_ns
        self._client = httpx.Client(
            verify=ssl.create_default_context(),
            timeout=httpx.Timeout(policy.read_timeout_s, connect=policy.connect_timeout_s),
            follow_redirects=False,
            trust_env=False,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
        )

    def send(self, idempotency_key: str, payload: bytes) -> Sent:
        """One attempt. Raises nothing that a network or a gateway can cause."""
        now_ns = self._wall_ns()
        signed = headers(self._policy.secret, idempotency_key, str(now_ns // NS_PER_S), payload)
        try:
            with self._client.stream("POST", self._policy.url, content=payload, headers=signed) as response:
                # The body is not read: it is of no interest, and may have no end.
                status, retry_after = response.status_code, response.headers.get("retry-after")
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            # The type alone: messages quote the address.
            return Answer(status=None), type(error).__name__
        answer = Answer(status=status, retry_after_s=_retry_after_s(retry_after, now_ns))
        return answer, "" if 200 <= status < 300 else f"HTTP {status}"

    def close(self) -> None:
        """Ends what is open."""
        self._client.close()


def _retry_after_s(value: str | None, now_ns: int) -> float | None:
    """Seconds, from a number or a date (RFC 9110, 10.2.3). None for anything else."""
    if value is None:
        return None
    if value.strip().isdecimal() and len(value.strip()) < 10:
        return float(value)
    try:
        at = parsedate_to_datetime(value)
    except (TypeError, ValueError, OverflowError):
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return max(0.0, (at - datetime.fromtimestamp(now_ns / NS_PER_S, tz=UTC)).total_seconds())
