"""What the templates are given: words and numbers only, nothing that still has to be decided."""

from dataclasses import dataclass, field
from typing import Final

from appliance.dashboard.board.strip import Strip
from appliance.dashboard.words.moments import Ages, Calendar

UP: Final = "up"  # 0:05, counting
AGO: Final = "ago"  # now, 11 min, 1 h 10
DOWN: Final = "down"  # in 0:55, counting down


@dataclass(frozen=True, slots=True, kw_only=True)
class Age:
    """An age, or the time that is left, which the page counts. `text`: all that a page without its script may claim."""

    key: str
    style: str
    text: str


@dataclass(slots=True, kw_only=True)
class Moment:
    """One look at the clocks; collects the ages that the page is to count from here."""

    now_ns: int
    monotonic_s: float
    calendar: Calendar
    ages: Ages
    counted: dict[str, float] = field(default_factory=dict)

    def age(self, key: str, since_ns: int, style: str = UP) -> Age:
        """The age of a thing, counted by the page."""
        self.counted[key] = round(self.ages.age_s(key, since_ns, self.now_ns, self.monotonic_s), 3)
        text = self.calendar.clock(since_ns) if style == UP else ""
        return Age(key=key, style=style, text=text)

    def until(self, key: str, due_ns: int) -> Age:
        """How long it is still to a moment, counted down by the page."""
        self.counted[key] = -round(self.ages.left_s(key, due_ns, self.now_ns, self.monotonic_s), 3)
        return Age(key=key, style=DOWN, text=f"at {self.calendar.clock(due_ns)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Face:
    """Who stands before a screen: whether it has buttons and links, and whether it may say names."""

    buttons: bool = True
    names: bool = True


CONSOLE_FACE: Final = Face()


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """The key slice as the server draws it. Letters stand at the left, right, top and bottom edge."""

    address: str
    sentence: str
    letters: tuple[str, str, str, str]
    window: str
    number: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One message of the stage. `look` are classes; `lead` and `next_lead` are the bold parts of their lines.

    `due_words` and `due`: what happens next by itself, and when. `study`: the address of its page.
    """

    key: str
    look: str
    icon: str
    word: str
    name: str
    what: str
    beacon: bool = False
    count: str = ""
    age: Age | None = None
    age_words: str = ""
    age_small: str = ""
    identity: tuple[str, ...] = ()
    lead: str = ""
    where: str = ""
    next_lead: str = ""
    next: str = ""
    due_words: str = ""
    due: Age | None = None
    study: str = ""
    button: str = ""
    action: str = ""
    target: int = 0
    event: int = 0
    picture: Picture | None = None
    strip: Strip | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One study in a list."""

    key: str
    look: str
    word: str
    name: str
    patient_id: str
    strip: Strip | None
    what: str
    told: str
    told_quiet: bool
    last: str
    last_age: Age
    told_small: str = ""
    study: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """The box speaking about itself. A blind one is red and black, any other violet.

    `bleed`: it speaks of one that has no row in the ledger yet, and so no card.
    """

    key: str
    blind: bool
    lead: str
    words: str
    age: Age | None = None
    target: int = 0  # the alert that "I have seen it" answers; 0 where there is nothing to press
    event: int = 0
    screen: str = ""  # the one it speaks of, which says it itself
    bleed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Calm:
    """The stage while nothing is to be acknowledged: a word, a sentence, three facts (value or age, and its name)."""

    word: str
    words: str
    facts: tuple[tuple[str | Age, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step before the first patient. `act`: "arm" or "test" where the step has a button."""

    words: str
    small: str = ""
    done: str = ""  # when or how; empty: not yet
    act: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstRun:
    """The stage of a box that has never seen a scan. The box cannot know whether this screen is armed: the page can.

    `words` and `facts` hold two wordings, of a screen that is not armed and of one that is.
    """

    words: tuple[str, str]
    steps_done: tuple[str, str]
    files: int
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """One button above the list of the day."""

    value: str
    words: str
    count: int
    pressed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DayView:
    """The list of the day, or what a search has found. `page` counts from 1; `older`, `newer`: there is such a page."""

    heading: str
    words: str
    empty: str
    rows: tuple[Row, ...]
    filters: tuple[Filter, ...] = ()
    page: int = 1
    newer: bool = False
    older: bool = False
    sought: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """What the page must sound, say aloud and report: facts for the script, no markup."""

    alert: int
    event: int  # the last event that sounds
    level: str
    blind: bool
    sounds: bool
    said: str
    spoken: int  # the event that screen readers are told: its news, or the last step of its escalation


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardView:
    """One look at the board."""

    title: str
    bands: tuple[Band, ...]
    more_bands: int  # technical alerts for this console that have no band
    elsewhere: int  # technical alerts that only System shows
    bar: tuple[Card, ...]  # CRITICAL that nobody has answered, and a test: for every page but the board
    cards: tuple[Card, ...]
    folded: tuple[Card, ...]  # CRITICAL
    quiet: tuple[Card, ...]
    quiet_folded: tuple[Card, ...]  # what makes no sound and waits
    calm: Calm | None
    first_run: FirstRun | None
    landing: tuple[Row, ...]
    day: DayView
    tested: str  # what became of the last test alarm
    alarms: tuple[Alarm, ...]
    last_event_id: int
