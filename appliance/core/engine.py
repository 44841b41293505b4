"""What an engine's manifest says, as types. Read and checked in `inference`."""

from dataclasses import dataclass, field

from appliance.core.aggregator import Aggregator
from appliance.core.familiar import Familiar


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A window of grey values in HU."""

    center: float
    width: float


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSpec:
    """The picture an engine takes: `windows` are the channels of float32 [1, windows, size, size], each 0 to 1."""

    name: str
    size: int
    spacing_mm: float
    windows: tuple[Window, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExamRule:
    """How slice logits become the exam's where no aggregator was learned: see `core.exam_rule`."""

    smoothing_mm: float
    sharpness: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Points:
    """The operating points. Exam probabilities of "any" for the outcome, slice probabilities for the early alert."""

    critical: float
    review: float
    early_pair: float  # two neighbouring slices must both reach it, their heat maps overlapping
    early_single: float  # one slice alone must reach it
    overlap: float  # least soft Dice of the two heat maps
    neighbour_mm: float  # how far apart two slices may lie and still be neighbours


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineCard:
    """The part of a manifest that rooms other than `inference` need."""

    name: str
    version: str
    sha256: str  # of manifest.toml, which holds the hashes of the other files: one number names the whole engine
    ages_years: tuple[float, float]
    input: InputSpec
    exam_rule: ExamRule
    points: Points
    calibration_scale: tuple[float, ...]  # p = sigmoid(scale * logit + bias), in the order of LABELS
    calibration_bias: tuple[float, ...]
    familiar: Familiar | None = field(default=None, compare=False)  # None: nothing is said to be unlike what it knows
    aggregator: Aggregator | None = field(default=None, compare=False)  # None: `exam_rule` alone makes the exam


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedOn:
    """What of other people is in an engine's weights: pictures of `patients`, or weights to start from (then both are 0)."""

    name: str
    licence: str
    attribution: str
    patients: int
    slices: int
