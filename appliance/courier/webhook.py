"""The channel that posts signed JSON to a gateway. docs/schemas/webhook.md tells it."""

import hashlib
import hmac
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import httpx

from appliance.core.delivery import Answer
from appliance.core.times import NS_PER_S
from appliance.courier.channel import Message
from appliance.courier.policy import WebhookPolicy

SIGNATURE_HEADER: Final = "X-Bleedwatch-Signature"
TIMESTAMP_HEADER: Final = "X-Bleedwatch-Timestamp"
KEY_HEADER: Final = "Idempotency-Key"
MAY_GET_BETTER: Final = frozenset({408, 425, 429})
"""Beside 5xx, the statuses after which another attempt can succeed without anybody changing anything."""


class Webhook:
    """The gateway. Several threads may send at once.

    Its certificate must be one that the system trusts: a hospital's own authority is added there. No redirect is
    followed and no proxy taken from the environment: who points elsewhere is not the gateway that was set. Each message
    has a connection of its own: alerts are rare, and a kept connection may be dead without saying so.
    """

    ready = True
    drops_by_key = True

    def __init__(self, policy: WebhookPolicy, wall_ns: Callable[[], int]) -> None:
        self.name = policy.name
        self._policy = policy
        self._wall_ns = wall_ns
        self._client = httpx.Client(
            verify=ssl.create_default_context(),
            timeout=httpx.Timeout(policy.read_timeout_s, connect=policy.connect_timeout_s),
            follow_redirects=False,
            trust_env=False,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
        )

    def send(self, message: Message) -> Answer:
        """One attempt. Raises nothing that a network or a gateway can cause."""
        now_ns = self._wall_ns()
        stamp = str(now_ns // NS_PER_S)
        signed = headers(self._policy.secret, message.idempotency_key, stamp, message.payload)
        try:
            with self._client.stream("POST", self._policy.url, content=message.payload, headers=signed) as response:
                # The body is not read: it is of no interest, and may have no end.
                status, retry_after = response.status_code, response.headers.get("retry-after")
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            # The type alone: messages quote the address.
            return Answer(taken=False, error=type(error).__name__)
        return http_answer(status, _retry_after_s(retry_after, now_ns))

    def close(self) -> None:
        """Ends what is open."""
        self._client.close()


def signature(secret: bytes, timestamp: str, payload: bytes) -> str:
    """HMAC-SHA256 over the timestamp, a full stop and the body, in hexadecimal."""
    return hmac.new(secret, timestamp.encode() + b"." + payload, hashlib.sha256).hexdigest()


def headers(secret: bytes, idempotency_key: str, timestamp: str, payload: bytes) -> dict[str, str]:
    """The headers of one attempt. `timestamp`: seconds since 1970; the receiver takes none older than five minutes."""
    return {
        "Content-Type": "application/json",
        KEY_HEADER: idempotency_key,
        TIMESTAMP_HEADER: timestamp,
        SIGNATURE_HEADER: f"sha256={signature(secret, timestamp, payload)}",
    }


def http_answer(status: int, retry_after_s: float | None = None) -> Answer:
    """What a status says: 2xx is taken, 5xx and a few others may get better, the rest will not by itself."""
    if 200 <= status < 300:
        return Answer(taken=True, status=status)
    lasting = status not in MAY_GET_BETTER and status < 500
    return Answer(taken=False, status=status, error=f"HTTP {status}", lasting=lasting, retry_after_s=retry_after_s)


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
