"""One TOML file -> one frozen object, and every fault of the file at once, in words, with its line."""

import re
import sys
import tomllib
from pathlib import Path
from typing import Any, Final, Literal, Self

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator

from appliance.core.engine_duty import OnRefused
from appliance.core.errors import CannotStart
from appliance.settings_courier import CourierSettings, Place, courier_faults
from appliance.settings_kinds import Folder, Section
from appliance.settings_kinds import is_loopback as is_loopback  # also for who asks the settings

DEFAULT_PORT = 8642
DATABASE = "bleedwatch.sqlite"
PLANS: Final = "plans"
CHANNEL_KINDS: Final = ("webhook", "email", "command")
Placed = tuple[Place, dict[str, Any]]
"""A fault with its place in the file."""


class BadSettings(CannotStart):
    """The settings file cannot be used. `faults` are sentences, each with its line."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class InboxSettings(Section):
    """Where the scanner writes."""

    folder: Folder
    owned: bool = Field(default=True, description="true: files leave the inbox once they are safe in the store")


class EngineSettings(Section):
    """Which engine reads, and on what."""

    folder: Folder
    threads: int = Field(default=1, ge=1, le=64)
    backend: Literal["auto", "onnxruntime", "tensorrt"] = "auto"
    plans: Folder | None = Field(default=None, description="where TensorRT plans lie; else plans in state_folder")
    python: Folder | None = Field(default=None, description="the interpreter that has TensorRT; else the product's own")
    precision: Literal["fp16", "fp32"] = "fp16"
    max_batch: int = Field(default=8, ge=1, le=64, description="most slices that a plan takes at once")
    on_refused: OnRefused = OnRefused.FALLBACK
    deadline_s: float = Field(default=0.5, ge=0.05, le=2.0, description="the card's longest time for one answer")

    @property
    def plans_folder(self) -> Path:
        """Where plans lie: in the settings of a box never in the engine's folder, which an upgrade replaces."""
        return self.plans or self.folder / PLANS

    @property
    def interpreter(self) -> Path:
        """The Python that has TensorRT."""
        return self.python or Path(sys.executable)


class DashboardSettings(Section):
    """The page at the console."""

    host: str = "127.0.0.1"
    port: int = Field(default=DEFAULT_PORT, ge=0, le=65535)
    scanner: str = Field(default="CT", max_length=60, description="the name that stands in the header of each page")
    people: tuple[str, ...] = Field(default=(), description="names to choose from when an alert is acknowledged")
    keep_acknowledged_h: float = Field(default=12.0, gt=0, le=72)
    kiosk_names: bool = Field(default=False, description="true: whole names on the wall screen; else initials")
    working_hours: tuple[int, int] = Field(default=(7, 19), description="Monday to Friday, from and to")
    quiet_h: float = Field(default=3.0, ge=0, le=24, description="so long without a slice is odd; 0: never")

    @model_validator(mode="after")
    def _a_day(self) -> Self:
        first, last = self.working_hours
        if not 0 <= first < last <= 24:
            raise ValueError("working_hours must be two hours of one day, like [7, 19]")
        return self

    @model_validator(mode="after")
    def _loopback_only(self) -> Self:
        if not is_loopback(self.host):
            raise ValueError(
                "host must be an address of this machine alone (127.0.0.1, ::1, localhost): "
                "pages that others can reach need users and a certificate, which this version does not have"
            )
        return self


class Settings(Section):
    """Everything a person may set."""

    state_folder: Folder = Field(description="the ledger and what is set aside; a local disk, never a network share")
    store_folder: Folder = Field(description="pixels at rest")
    runtime_folder: Folder = Field(description="status files; best in memory")
    ballast_mib: int = Field(
        default=64, ge=1, le=4096, description="given up when the disk is full, so that a bleed is written"
    )
    inbox: InboxSettings
    engine: EngineSettings
    dashboard: DashboardSettings = DashboardSettings()
    courier: CourierSettings = CourierSettings()

    @field_validator("engine")
    @classmethod
    def _plans_beside_the_ledger(cls, engine: EngineSettings, others: ValidationInfo) -> EngineSettings:
        """Where the programs may write, and what an upgrade leaves alone. Without a good state_folder nothing is read."""
        if engine.plans or "state_folder" not in others.data:
            return engine
        return engine.model_copy(update={"plans": others.data["state_folder"] / PLANS})

    @property
    def database(self) -> Path:
        """The ledger's file."""
        return self.state_folder / DATABASE

    @property
    def set_aside_folder(self) -> Path:
        """Where files go that rest in an owned inbox and cannot be taken."""
        return self.state_folder / "set-aside"


def _line_of(text: str, place: Place) -> int | None:
    """The line on which a setting stands, or its section where the setting itself is missing."""
    section: Place = ()
    best: tuple[int, int] | None = None
    counted: dict[Place, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if heading := re.match(r"\s*(\[\[?)([^\[\]]+)\]", line):
            section = tuple(part.strip().strip('"') for part in heading[2].split("."))
            if heading[1] == "[[":  # one more of a list of sections
                counted[section] = counted.get(section, -1) + 1
                section = (*section, counted[section])
            here = section
        elif setting := re.match(r'\s*"?([\w-]+)"?\s*=', line):
            here = (*section, setting[1])
        else:
            continue
        if place[: len(here)] == here and (best is None or len(here) > best[0]):
            best = (len(here), number)
    return best[1] if best else None


def _place_of(loc: Place) -> Place:
    """Where in the file a fault lies: the kind of a channel and the mark of a key are no names of settings."""
    place = tuple(part for part in loc if part != "[key]")
    if place[:2] == ("courier", "channels") and len(place) > 3 and place[3] in CHANNEL_KINDS:
        return (*place[:3], *place[4:])
    return place


def _said_place(place: Place) -> str:
    """courier.steps 2.channels: sections of a list are counted from 1."""
    said = ""
    for part in place:
        said += f" {part + 1}" if isinstance(part, int) else f".{part}" if said else part
    return said


def _without_echoes(placed: list[Placed]) -> list[Placed]:
    """A list whose items are at fault is counted as empty besides: that is no fault of its own."""
    return [
        (place, fault)
        for place, fault in placed
        if fault["type"] != "too_short" or not any(other[:-1] == place for other, _ in placed)
    ]


def _in_words(fault: dict[str, Any], place: Place) -> str:
    if fault["type"] == "missing":
        return "is missing"
    if place == ("courier", "webhook"):
        return (
            "is not a setting any more: channels have names. "
            'Write [courier.channels.pager], kind = "webhook", and below it the same url and secret_file'
        )
    if fault["type"] == "extra_forbidden":
        return "is not a setting of Bleedwatch; check its spelling"
    if fault["type"] in ("union_tag_not_found", "union_tag_invalid"):
        return f"needs a kind: one of {', '.join(CHANNEL_KINDS)}"
    if fault["type"] in ("too_short", "string_too_short"):
        return "must not be empty"
    message: str = fault["msg"]
    return message.removeprefix("Value error, ").removeprefix("Input ")


def _fault(text: str, name: str, place: Place, words: str) -> str:
    line = _line_of(text, place)
    where = f"{name}, line {line}" if line else name
    return f"{where}: {_said_place(place)} {words}"


def parse_settings(text: str, name: str) -> Settings:
    """The settings of a TOML text; `name` stands in the faults. BadSettings with every fault."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadSettings([f"{name}: this is not TOML: {error}"]) from None
    try:
        settings = Settings.model_validate(document)
    except ValidationError as error:
        placed = _without_echoes([(_place_of(fault["loc"]), dict(fault)) for fault in error.errors()])
        raise BadSettings([_fault(text, name, place, _in_words(fault, place)) for place, fault in placed]) from None
    if faults := [_fault(text, name, place, words) for place, words in courier_faults(settings.courier)]:
        raise BadSettings(faults)
    return settings


def read_settings(path: Path) -> Settings:
    """The settings of a file. BadSettings if it cannot be read, or with every fault in it."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise BadSettings([f"{path}: there is no such file. Make one: bleedwatch init {path}"]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadSettings([f"{path}: cannot be read ({error.__class__.__name__}). Check who may read it."]) from None
    return parse_settings(text, str(path))


def commented_toml(*, root: Path, inbox: Path, engine: Path) -> str:
    """A first settings file, with a word on every line of it."""
    return f"""# Settings of Bleedwatch. After a change: bleedwatch doctor --config THIS_FILE

state_folder = "{root}/state"      # the ledger; a local disk, never a network share
store_folder = "{root}/store"      # pixels at rest
runtime_folder = "/run/bleedwatch" # status files; best in memory
ballast_mib = 64                   # kept in state_folder, and given up when its disk is full: the last bleed is still written

[inbox]
folder = "{inbox}"                 # where the scanner writes
owned = true                       # files leave the inbox once they are safe in the store

[engine]
folder = "{engine}"
threads = 1                        # cores the engine may use (docs/decisions/0003-onnxruntime-threads.md)
backend = "auto"                   # a graphics card where one can serve; or "onnxruntime", or "tensorrt" with an alert without it
precision = "fp16"                 # of the card's plan; or "fp32"
max_batch = 8                      # most slices of a backlog that the card takes at once; the plan is built for it
on_refused = "fallback"            # a plan that may not serve: the processor reads. "rebuild": and a new one is built; "fail": nobody reads
deadline_s = 0.5                   # the card's longest time for one answer; then the processor gives it
# plans = "/var/lib/bleedwatch/plans"      # where plans lie; else "plans" in state_folder
# python = "/opt/tensorrt/bin/python"      # the interpreter that has tensorrt and pycuda; else Bleedwatch's own

[dashboard]
host = "127.0.0.1"                 # this machine alone
port = {DEFAULT_PORT}
scanner = "CT 1"                   # stands in the header of each page
people = []                        # names to choose from when an alert is acknowledged
keep_acknowledged_h = 12           # how long an acknowledged alert stays on the board
kiosk_names = false                # true: whole names on the wall screen /kiosk, not initials alone
working_hours = [7, 19]            # Monday to Friday; then it is odd if nothing lands
quiet_h = 3                        # for so many hours; 0: never

# Who is told besides the open pages, and when. Each channel has a name.
# [courier]
# repeat_s = 300                       # after the last step, everybody is told again until somebody answers
# technical = ["mail"]                 # who is told when the box itself has a fault
#
# [courier.channels.pager]             # signed JSON messages (docs/schemas/webhook.md)
# kind = "webhook"
# url = "https://gateway.example/alerts"
# secret_file = "/etc/bleedwatch/secrets/pager"
#
# [courier.channels.mail]              # letters
# kind = "email"
# host = "mail.hospital.example"
# security = "starttls"                # or "tls", or "none" inside a network that is trusted
# from = "bleedwatch@hospital.example"
# to = ["stroke@hospital.example"]
# user = "bleedwatch"                  # leave out both where nobody has to log in
# password_file = "/etc/bleedwatch/secrets/mail"
#
# [courier.channels.siren]             # a program of yours (docs/schemas/command.md)
# kind = "command"
# argv = ["/usr/local/bin/siren", "--loud"]
# timeout_s = 10
#
# [[courier.steps]]                    # without steps, all channels are told at once
# name = "Ward pager"                  # as the board says it: Ward pager paged 14:32:02, no answer yet
# after_s = 0                          # seconds after the alert began to sound
# channels = ["pager", "siren"]
#
# [[courier.steps]]
# name = "Stroke team"
# after_s = 120
# channels = ["mail"]
"""
