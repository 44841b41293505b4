"""From a policy to the channel that works by it."""

import logging
from collections.abc import Callable
from typing import assert_never

from appliance.core.delivery import Answer
from appliance.courier.channel import Channel, Message
from appliance.courier.command import Command
from appliance.courier.mail import Mail
from appliance.courier.policy import ChannelPolicy, CommandPolicy, EmailPolicy, UnreadyPolicy, WebhookPolicy
from appliance.courier.webhook import Webhook

log = logging.getLogger(__name__)


class Unready:
    """A channel that is set and cannot work: it takes nothing, so that it is passed over and told of."""

    ready = False
    drops_by_key = True

    def __init__(self, policy: UnreadyPolicy) -> None:
        self.name = policy.name
        log.error("a channel cannot work", extra={"facts": {"channel": policy.name, "said": policy.said}})

    def send(self, _message: Message) -> Answer:
        """Takes nothing."""
        return Answer(taken=False, error="NoSecret", lasting=True)

    def close(self) -> None:
        """Nothing is open."""


def open_channel(policy: ChannelPolicy, wall_ns: Callable[[], int]) -> Channel:
    """The channel of a policy. Nothing is connected before the first message."""
    match policy:
        case WebhookPolicy():
            return Webhook(policy, wall_ns)
        case EmailPolicy():
            return Mail(policy, wall_ns)
        case CommandPolicy():
            return Command(policy)
        case UnreadyPolicy():
            return Unready(policy)
        case _:
            assert_never(policy)
