"""What the templates are given: words and numbers only, nothing that still has to be decided."""

from dataclasses import dataclass, field
from typing import Final

from appliance.dashboard.moments import Ages, Calendar
from appliance.dashboard.strip import Strip

UP: Final = "up"  # 0:05, counting
AGO: Final = "ago"  # now, 11 min, 1 h 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Age:
    """An age that the page counts. `text` is the wall time: all that a page without its script may claim."""

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
    """One message of the stage. `look` are classes; `lead` and `next_lead` are the bold parts of their lines."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """The box speaking about itself. A blind one is red and black, any other violet."""

    key: str
    blind: bool
    lead: str
    words: str
    age: Age | None = None
    target: int = 0  # the alert that "I have seen it" answers; 0 where there is nothing to press
    event: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Calm:
    """The stage while nothing is to be acknowledged: a word, a sentence, three facts (value or age, and its name)."""

    word: str
    words: str
    facts: tuple[tuple[str | Age, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """What the page must sound, say aloud and report: facts for the script, no markup."""

    alert: int
    event: int  # the last event that sounds
    level: str
    blind: bool
    sounds: bool
    said: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardView:
    """One look at the board."""

    title: str
    bands: tuple[Band, ...]
    more_bands: tuple[Band, ...]
    bar: tuple[Card, ...]  # CRITICAL that nobody has answered, for every page but the board
    cards: tuple[Card, ...]
    folded: tuple[Card, ...]
    calm: Calm | None
    landing: tuple[Row, ...]
    today: tuple[Row, ...]
    today_words: str
    alarms: tuple[Alarm, ...]
    last_event_id: int
