"""Which series are native head CT: rules in order, each with its own reason. The first that says no decides.

Unknown is read, and marked by the corrections of its slices. Nothing is declined by size, field of view or window.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final, NamedTuple

from appliance.core.headers import SeriesFacts, SliceGeometry, StudyFacts
from appliance.core.ledger import Reasons
from appliance.core.words import SeriesVerdict
from appliance.exams.head_ct import lexicon
from appliance.exams.head_ct.kernels import is_sharp

AXIAL_WITHIN_DEG: Final = 35.0  # gantries tilt by 30; the rest is for rounding
NO_BRAIN_SLICES: Final = 3  # fewer prove nothing
BRAIN_HU: Final = (5.0, 65.0)  # where the median of brain may lie, contrast and oedema included

_SECONDARY_CAPTURE: Final = "1.2.840.10008.5.1.4.1.1.7"

_TYPE_LOCALIZER: Final = frozenset(("LOCALIZER", "SURVIEW", "SCOUT", "TOPOGRAM", "SCANOGRAM"))
_TYPE_PAGE: Final = frozenset(("SCREEN", "DOSE", "INFO", "RESULTS", "PROT", "PROTOCOL"))
_TYPE_PERFUSION: Final = frozenset(("PERFUSION", "CBF", "RCBF", "CBV", "RCBV", "MTT", "TTP", "TMAX", "PERM", "PBV"))
_TYPE_SPECTRAL: Final = frozenset(
    ("IODINE", "VNC", "ZEFF", "EFF", "RHO", "MONOENERGETIC", "MONO", "VMI", "MATERIAL", "DENSITY", "MONOE", "DET")
)
_TYPE_COMPUTED: Final = frozenset(
    ("MIP", "MINIP", "MPR", "CSAPARALLEL", "RESAMPLED", "VRT", "3D", "REFORMATTED", "POSDISP", "SSD", "REMOVAL")
)


class HeaderVerdict(NamedTuple):
    """What the header says of a series. `may_be_head` is False only where it says that this is no head, or no CT."""

    verdict: SeriesVerdict
    reasons: Reasons
    may_be_head: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelFacts:
    """What one slice's own pixels show: see `anatomy`. `brain_hu` is None without a brain."""

    has_brain: bool
    brain_hu: float | None
    skull_area_mm2: float


@dataclass(frozen=True, slots=True)
class _Asked:
    """All that a rule may ask."""

    series: SeriesFacts
    geometry: SliceGeometry | None
    study: StudyFacts
    ages_years: tuple[float, float]
    file_reason: str

    @property
    def image_type(self) -> frozenset[str]:
        """The words of ImageType: `CT_SOM5 MPR` holds MPR."""
        return frozenset(" ".join(self.series.image_type).upper().replace("_", " ").split())


_No = dict[str, str] | None
"""What fills the places of the sentence, or None where the rule does not say no."""


def _mr(asked: _Asked) -> _No:
    return {} if asked.series.modality == "MR" or asked.file_reason == "mr" else None


def _page(asked: _Asked) -> _No:
    is_capture = asked.series.sop_class_uid == _SECONDARY_CAPTURE or asked.series.sop_class_uid.startswith(
        _SECONDARY_CAPTURE + "."
    )
    is_page = asked.file_reason in ("secondary-capture", "no-picture", "not-ct")
    return {} if is_capture or is_page or asked.image_type & _TYPE_PAGE else None


def _localizer(asked: _Asked) -> _No:
    by_words = lexicon.LOCALIZER.found_in(asked.series.description)
    return {} if asked.image_type & _TYPE_LOCALIZER or by_words else None


def _perfusion(asked: _Asked) -> _No:
    by_words = lexicon.PERFUSION.found_in(asked.series.description)
    return {} if asked.image_type & _TYPE_PERFUSION or by_words else None


def _spectral(asked: _Asked) -> _No:
    scale = asked.series.rescale_type
    other_scale = bool(scale) and scale != "HU" and not scale.startswith("HOUNSFIELD")
    by_words = lexicon.says_spectral(asked.series.description)
    return {} if other_scale or asked.image_type & _TYPE_SPECTRAL or by_words else None


def _computed(asked: _Asked) -> _No:
    """DERIVED alone says little: lossy copies of true slices are marked so. What was computed has a name."""
    by_words = lexicon.RENDERED.found_in(asked.series.description)
    return {} if asked.image_type & _TYPE_COMPUTED or by_words else None


def _not_axial(asked: _Asked) -> _No:
    return {} if asked.geometry is not None and asked.geometry.tilt_deg > AXIAL_WITHIN_DEG else None


def _contrast(asked: _Asked) -> _No:
    agent = not lexicon.says_no_agent(asked.series.contrast_agent)
    return {} if agent or lexicon.says_contrast(asked.series.description) else None


def _other_part(asked: _Asked) -> _No:
    part = part_named(asked.series, asked.study)
    return {"part": part} if part not in ("", "head") else None


def _bone(asked: _Asked) -> _No:
    sharp = is_sharp(asked.series.kernel)
    if sharp is None:
        sharp = lexicon.BONE.found_in(asked.series.description)
    return {} if sharp else None


def _age(asked: _Asked) -> _No:
    youngest, oldest = asked.ages_years
    age = asked.study.age_years
    if age is None or youngest <= age <= oldest:
        return None
    return {"ages": f"{youngest:g} to {oldest:g} years"}


def _unread(asked: _Asked) -> _No:
    """A file that was declined as a picture shows no brain to anybody here, whatever its header says."""
    return {} if asked.file_reason else None


_RULES: Final[tuple[tuple[str, Callable[[_Asked], _No]], ...]] = (
    ("mr", _mr),
    ("secondary-capture", _page),
    ("localizer", _localizer),
    ("perfusion", _perfusion),
    ("spectral-map", _spectral),
    ("derived", _computed),
    ("not-axial", _not_axial),
    ("contrast", _contrast),
    ("not-a-head", _other_part),
    ("bone-kernel", _bone),
    ("age", _age),
    ("no-brain", _unread),
)

RULE_CODES: Final = tuple(code for code, _ in _RULES)


def header_verdict(
    series: SeriesFacts,
    geometry: SliceGeometry | None,
    study: StudyFacts,
    ages_years: tuple[float, float],
    file_reason: str = "",
) -> HeaderVerdict:
    """The verdict on a series by the header of one of its files.

    `file_reason` is the reason of a file that was DECLINED: such a file opens its series, and never as READ.
    """
    asked = _Asked(series, geometry, study, ages_years, file_reason)
    may_be_head = _mr(asked) is None and part_named(series, study) in ("", "head")
    for code, rule in _RULES:
        details = rule(asked)
        if details is not None:
            return HeaderVerdict(SeriesVerdict.DECLINED, ((code, details),), may_be_head)
    return HeaderVerdict(SeriesVerdict.READ, (), may_be_head)


def part_named(series: SeriesFacts, study: StudyFacts) -> str:
    """The part of the body that the texts name: "head", a key of OTHER_PARTS or what BodyPartExamined says, or "".

    The text nearest to the series counts first. BodyPartExamined is a default of the protocol so often that it is
    believed only where no other text says head.
    """
    for text in (series.description, series.protocol):
        part = _part_in(text)
        if part:
            return part
    said, of_study = _part_in(series.body_part), _part_in(study.description)
    if "head" in (said, of_study):
        return "head"
    return said or of_study


def _part_in(text: str) -> str:
    if lexicon.HEAD.found_in(text):
        return "head"
    return next((part for part, words in lexicon.OTHER_PARTS.items() if words.found_in(text)), "")


def pixel_verdict(slices: Sequence[PixelFacts]) -> Reasons | None:
    """Why a series is declined by its pixels when it closes; None where it stays read.

    `no-brain` needs NO_BRAIN_SLICES slices without any brain; `hu-implausible` a median brain outside BRAIN_HU.
    """
    brains = [one.brain_hu for one in slices if one.has_brain and one.brain_hu is not None]
    if brains:
        lowest, highest = BRAIN_HU
        middle = median(brains)
        return None if lowest <= middle <= highest else (("hu-implausible", {"hu": f"{middle:.0f} HU"}),)
    if len(slices) >= NO_BRAIN_SLICES and not any(one.has_brain for one in slices):
        return (("no-brain", {}),)
    return None
