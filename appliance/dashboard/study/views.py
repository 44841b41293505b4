"""What the templates of the study page are given: words and numbers only."""

from dataclasses import dataclass

from appliance.dashboard.board.strip import Strip
from appliance.dashboard.board.views import Age


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The bar on top. `look` are classes; `lead` and `small` stand at its right end, where no age counts there."""

    look: str
    icon: str
    word: str
    name: str
    identity: tuple[str, ...]
    beacon: bool = False
    age: Age | None = None
    age_small: str = ""
    lead: str = ""
    small: tuple[str, ...] = ()
    button: str = ""
    action: str = ""
    target: int = 0
    event: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewer:
    """The picture. `slices` is JSON for the script: [id, z in mm, place on the strip, mark of the heat map or ""] each.

    `letters` stand at the left, right, top and bottom edge. `places` is how far the scroll bar runs; `gone`: why there is
    no picture.
    """

    sentence: str
    key: int
    key_number: int
    key_place: int
    key_z: str
    key_is_hot: bool
    landed: int
    places: int
    slices: str
    letters: tuple[str, str, str, str]
    series: tuple[str, ...]
    scan: tuple[str, ...]
    strip: Strip | None
    is_key: bool
    running: bool
    gone: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Meter:
    """One probability against both points. Lengths are shares of 200."""

    label: str
    kind: str
    look: str
    length: str
    value: str
    exact: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A reason: its sentence, its next step and its code."""

    sentence: str
    next_step: str
    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """What the machine says, in words. `where`: the place, the size and that both are rough."""

    title: str
    small: str = ""
    where: str = ""
    extent: str = ""
    said: tuple[Said, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The six probabilities of a reading, where its points stand (of 200), and what they are worth."""

    title: str
    small: str
    meters: tuple[Meter, ...]
    marks: tuple[str, str]
    points: tuple[str, str]
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """One line. `day` only where it is another than the line before's, or than today; `lead` is bold; `after`: since the
    slice; `due`: of what is still to come."""

    at: str
    day: str
    lead: str
    words: str
    after: str
    due: Age | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One judgement."""

    word: str
    by: str
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Judging:
    """The three buttons and what was said so far, the newest first. `action`: what they send, of which `target`."""

    action: str
    target: int
    event: int
    choices: tuple[tuple[str, str], ...]
    answers: tuple[Answer, ...]
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesLine:
    """One series. `address` shows its pictures, empty where it is shown already or has none to show."""

    number: str
    words: str
    slices: int
    verdict: str
    corrections: tuple[str, ...]
    address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Engine, series and files. `files`: verdict and reason, and how many."""

    engine: tuple[tuple[str, str], ...]
    series: tuple[SeriesLine, ...]
    sum: str
    files: tuple[tuple[str, str, int], ...]
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyView:
    """One look at one study."""

    id: int
    alert: int
    verdict: Verdict
    viewer: Viewer | None
    unread: Panel | None
    finding: Panel | None
    figures: Figures | None
    log: tuple[LogLine, ...]
    judging: Judging
    record: Record
