"""The sections of the courier: its channels by name, and the steps on which they are told."""

from collections.abc import Iterator
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from appliance.core.escalation import EscalationPolicy, EscalationStep
from appliance.settings_kinds import ChannelName, Folder, MailAddress, SaidName, Section, WebAddress, is_loopback

Place = tuple[str | int, ...]
USUAL_PORT: Final = {"starttls": 587, "tls": 465, "none": 25}


class WebhookSettings(Section):
    """A gateway that is told by signed messages."""

    kind: Literal["webhook"]
    url: WebAddress
    secret_file: Folder = Field(description="a file with the shared secret, readable by the courier only")


class EmailSettings(Section):
    """A mail server, and who is written to."""

    kind: Literal["email"]
    host: str = Field(min_length=1, max_length=253)
    port: int | None = Field(default=None, ge=1, le=65535, description="without it: what is usual for `security`")
    security: Literal["starttls", "tls", "none"] = "starttls"
    sender: MailAddress = Field(alias="from")
    to: tuple[MailAddress, ...] = Field(min_length=1, max_length=50)
    user: str = ""
    password_file: Folder | None = None

    @model_validator(mode="after")
    def _no_open_password(self) -> Self:
        if bool(self.user) != (self.password_file is not None):
            raise ValueError("user and password_file belong together: set both or neither")
        if self.user and self.security == "none" and not is_loopback(self.host):
            raise ValueError('security "none" would send the password in the open: set "starttls" or "tls"')
        return self

    @property
    def port_used(self) -> int:
        """The port, or the usual one."""
        return self.port or USUAL_PORT[self.security]


class CommandSettings(Section):
    """A program of the site, started without a shell."""

    kind: Literal["command"]
    argv: tuple[str, ...] = Field(min_length=1, max_length=50, description="the program by its whole path, its words")
    timeout_s: float = Field(default=10.0, ge=0.1, le=25)

    @model_validator(mode="after")
    def _whole_path(self) -> Self:
        if not self.argv[0].startswith("/") or "\0" in "".join(self.argv):
            raise ValueError("argv must begin with the whole path of a program, like /usr/local/bin/siren")
        return self


ChannelSettings = Annotated[WebhookSettings | EmailSettings | CommandSettings, Field(discriminator="kind")]


class StepSettings(Section):
    """One step: whom its channels reach, and when."""

    name: SaidName
    after_s: float = Field(ge=0, le=86_400, description="seconds after the alert began to sound, without an answer")
    channels: tuple[ChannelName, ...] = Field(min_length=1, max_length=12)


class CourierSettings(Section):
    """Who is told besides the open pages."""

    channels: dict[ChannelName, ChannelSettings] = Field(default_factory=dict, max_length=12)
    steps: tuple[StepSettings, ...] = Field(default=(), max_length=10)
    repeat_s: float = Field(default=300.0, ge=30, le=86_400, description="after the last step, all are told again")
    technical: tuple[ChannelName, ...] = Field(default=(), description="the channels that are told faults of the box")

    @property
    def escalation(self) -> EscalationPolicy:
        """The ladder. Channels without steps are all told at once."""
        steps = tuple(EscalationStep(name=one.name, after_s=one.after_s, channels=one.channels) for one in self.steps)
        if not steps and self.channels:
            every = tuple(self.channels)
            steps = (EscalationStep(name=", ".join(every), after_s=0.0, channels=every),)
        return EscalationPolicy(steps=steps, repeat_s=self.repeat_s, technical=self.technical)


def courier_faults(courier: CourierSettings) -> Iterator[tuple[Place, str]]:
    """What does not go together, in words, each with its place in the file."""
    for number, step in enumerate(courier.steps):
        for name in step.channels:
            if name not in courier.channels:
                yield ("courier", "steps", number, "channels"), _unknown(name)
        if number and step.after_s <= courier.steps[number - 1].after_s:
            words = "must be later than that of the step before: steps stand in the order of their time"
            yield ("courier", "steps", number, "after_s"), words
    for name in courier.technical:
        if name not in courier.channels:
            yield ("courier", "technical"), _unknown(name)
    used = {name for step in courier.steps for name in step.channels} | set(courier.technical)
    for name in courier.channels if courier.steps else ():
        if name not in used:
            yield ("courier", "channels", name), "is told nothing: name it in a step or in courier.technical"


def _unknown(name: str) -> str:
    return f'names "{name}", which is no channel: there must be a section [courier.channels.{name}]'
