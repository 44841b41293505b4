"""One attempt to hand a message to the gateway."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from appliance.core.delivery import Answer
from appliance.courier.message import headers
from appliance.courier.policy import WebhookPolicy


class Webhook:
    """The gateway. Connections are kept, so that the first message of an alert does not wait for a handshake.

    No redirect is followed: a gateway that points elsewhere is not the one that was set.
    """

    def __init__(self, policy: WebhookPolicy) -> None:
        self._policy = policy
        self._client = httpx.Client(
            timeout=httpx.Timeout(policy.read_timeout_s, connect=policy.connect_timeout_s),
            follow_redirects=False,
            trust_env=False,
            limits=httpx.Limits(max_connections=8, max_keepalive_connections=4),
        )

    def send(self, idempotency_key: str, payload: bytes, now_ns: int) -> tuple[Answer, str]:
        """The answer, and in a few words what went wrong (empty if nothing). Never raises for what a network does."""
        timestamp = str(now_ns // 1_000_000_000)
        signed = headers(self._policy.secret, idempotency_key, timestamp, payload)
        try:
            with self._client.stream("POST", self._policy.url, content=payload, headers=signed) as response:
                # The body is of no interest, and a gateway may send one without an end.
                status = response.status_code
                answer = Answer(
                    status=status, retry_after_s=_retry_after_s(response.headers.get("retry-after"), now_ns)
                )
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            return Answer(status=None), type(error).__name__
        return answer, "" if 200 <= status < 300 else f"HTTP {status}"

    def close(self) -> None:
        """Ends the kept connections."""
        self._client.close()


def _retry_after_s(value: str | None, now_ns: int) -> float | None:
    """Seconds, from a number or a date (RFC 9110, 10.2.3). None for anything else."""
    if value is None:
        return None
    if value.strip().isdecimal() and len(value.strip()) < 10:
        return float(value)
    try:
        at = parsedate_to_datetime(value)
    except (TypeError, ValueError):
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return max(0.0, (at - datetime.fromtimestamp(now_ns / 1e9, tz=UTC)).total_seconds())
