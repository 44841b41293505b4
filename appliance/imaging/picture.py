"""How the picture of a CT file is stored, held against itself and against the bytes that are there."""

from dataclasses import dataclass
from typing import Final

from appliance.core.errors import Refusal
from appliance.core.words import FileVerdict
from appliance.imaging import tags
from appliance.imaging.fields import Fields
from appliance.imaging.structure import FLOAT_PIXELS, PIXEL_DATA

MIN_SIDE: Final = 16  # rows or columns; below lie no pictures of a head, and above no rule on size declines
MAX_SIDE: Final = 4096
MAX_SLOPE: Final = 12.0  # HU a step; the extended scale of 16-bit CT has 10, eight-bit pictures 16 and more

_DECLINED, _SET_ASIDE = FileVerdict.DECLINED, FileVerdict.SET_ASIDE


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureSpec:
    """One grey picture of 16 bits a pixel. `high_bit` is counted from 0 and never below `bits_stored` - 1."""

    rows: int
    columns: int
    bits_stored: int
    high_bit: int
    signed: bool

    @property
    def byte_count(self) -> int:
        """Bytes of the picture, unpacked."""
        return self.rows * self.columns * 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Rescale:
    """Stored values to HU (PS3.3 C.11.1.1.2), and the stored values that are filling."""

    slope: float
    intercept: float
    padding: tuple[int, int] | None = None  # lowest and highest, as stored


def picture_spec(fields: Fields) -> PictureSpec:
    """The picture's form. Refusal with DECLINED `unsupported-picture`, or SET_ASIDE."""
    _check_there(fields)
    rows, columns = _side(fields, tags.ROWS), _side(fields, tags.COLUMNS)
    _check_frames(fields, rows, columns)
    _check_grey(fields)
    allocated = fields.whole(tags.BITS_ALLOCATED)
    stored = fields.whole(tags.BITS_STORED)
    if allocated is None or stored is None:
        raise Refusal(_SET_ASIDE, "high-bit")
    if allocated != 16:
        raise Refusal(_DECLINED, "unsupported-picture")
    if stored > allocated or stored < 1:
        raise Refusal(_SET_ASIDE, "high-bit")
    if stored <= 8 or min(rows, columns) < MIN_SIDE:
        raise Refusal(_DECLINED, "unsupported-picture")
    if max(rows, columns) > MAX_SIDE:
        raise Refusal(_SET_ASIDE, "too-large")
    spec = PictureSpec(
        rows=rows,
        columns=columns,
        bits_stored=stored,
        high_bit=_high_bit(fields, stored),
        signed=_signed(fields),
    )
    if not fields.walk.encapsulated:
        _check_native_length(fields, spec)
    return spec


def _check_there(fields: Fields) -> None:
    pixels = fields.walk.elements.get(PIXEL_DATA)
    if pixels is None and any(tag in fields for tag in FLOAT_PIXELS):
        raise Refusal(_DECLINED, "unsupported-picture")
    if pixels is None or pixels.length == 0 or (fields.walk.encapsulated and not fields.walk.fragments):
        raise Refusal(_SET_ASIDE, "no-pixels")


def _side(fields: Fields, tag: int) -> int:
    value = fields.whole(tag)
    if value is None or value < 1:
        raise Refusal(_SET_ASIDE, "pixel-length")
    return value


def _check_frames(fields: Fields, rows: int, columns: int) -> None:
    if fields.unreadable(tags.NUMBER_OF_FRAMES):
        raise Refusal(_SET_ASIDE, "pixel-length")
    frames = fields.whole(tags.NUMBER_OF_FRAMES)
    if frames is None:
        return
    if frames == 0:
        fields.corrections.add("header-mended")
    elif frames < 0:
        raise Refusal(_SET_ASIDE, "pixel-length")
    elif frames > 1:
        bits = fields.whole(tags.BITS_ALLOCATED) or 0
        samples = fields.whole(tags.SAMPLES_PER_PIXEL) or 1
        needed = frames * rows * columns * samples * bits // 8
        if not fields.walk.encapsulated and fields.walk.elements[PIXEL_DATA].length < needed:
            raise Refusal(_SET_ASIDE, "pixel-length")
        raise Refusal(_DECLINED, "unsupported-picture")


def _check_grey(fields: Fields) -> None:
    photometric = fields.codes(tags.PHOTOMETRIC_INTERPRETATION)
    samples = fields.whole(tags.SAMPLES_PER_PIXEL)
    if samples is None or not photometric:
        fields.corrections.add("header-mended")
    # MONOCHROME1 is a matter of display: the values mean the same.
    if samples not in (None, 1) or photometric not in ((), ("MONOCHROME1",), ("MONOCHROME2",)):
        raise Refusal(_DECLINED, "unsupported-picture")


def _high_bit(fields: Fields, stored: int) -> int:
    high = fields.whole(tags.HIGH_BIT)
    if high is None:
        fields.corrections.add("header-mended")
        return stored - 1
    if not stored - 1 <= high <= 15:
        raise Refusal(_SET_ASIDE, "high-bit")
    return high


def _signed(fields: Fields) -> bool:
    representation = fields.whole(tags.PIXEL_REPRESENTATION)
    if representation not in (0, 1):
        raise Refusal(_SET_ASIDE, "high-bit")
    return representation == 1


def _check_native_length(fields: Fields, spec: PictureSpec) -> None:
    length, needed = fields.walk.elements[PIXEL_DATA].length, spec.byte_count
    # As many bytes as a second picture would take are no padding: nobody knows which of them is meant.
    if length < needed or length >= 2 * needed:
        raise Refusal(_SET_ASIDE, "pixel-length")
    if length > needed + 1:
        fields.corrections.add("pixels-trimmed")


def rescale_of(fields: Fields, spec: PictureSpec) -> Rescale:
    """The way to HU. Refusal with `no-rescale`: neither 1/0 nor -1024 is ever assumed."""
    slope, intercept = fields.number(tags.RESCALE_SLOPE), fields.number(tags.RESCALE_INTERCEPT)
    if slope is None or intercept is None or slope <= 0 or fields.has_items(tags.MODALITY_LUT_SEQUENCE):
        raise Refusal(_SET_ASIDE, "no-rescale")
    if slope > MAX_SLOPE:
        raise Refusal(_DECLINED, "unsupported-picture")
    return Rescale(slope=slope, intercept=intercept, padding=_padding(fields, spec))


def _padding(fields: Fields, spec: PictureSpec) -> tuple[int, int] | None:
    value = _padding_value(fields, tags.PIXEL_PADDING_VALUE, spec)
    if value is None:
        return None
    limit = _padding_value(fields, tags.PIXEL_PADDING_RANGE_LIMIT, spec)
    return (value, value) if limit is None else (min(value, limit), max(value, limit))


def _padding_value(fields: Fields, tag: int, spec: PictureSpec) -> int | None:
    """A padding value as a stored value. Its own VR may lie about its sign: the picture's sign is meant."""
    value = fields.whole(tag)
    if value is None:
        return None
    if spec.signed and value > 0x7FFF:
        fields.corrections.add("unsigned-padding")
        return value - 0x10000
    if not spec.signed and value < 0:
        return value + 0x10000
    return value
