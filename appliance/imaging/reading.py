"""One file's bytes -> its verdict. The only door of this room for files; made for a limited child."""

import hashlib
from typing import Final

from appliance.core.errors import Refusal
from appliance.core.headers import Header
from appliance.core.reads import ReadFile
from appliance.core.words import FileVerdict
from appliance.imaging import tags
from appliance.imaging.fields import Fields
from appliance.imaging.header import read_header
from appliance.imaging.hounsfield import to_hounsfield
from appliance.imaging.opening import Opened, open_file
from appliance.imaging.picture import picture_spec, rescale_of
from appliance.imaging.pixels import cells_of
from appliance.imaging.placing import AXIAL_WITHIN_DEG, TILT_FROM_DEG, place, turned
from appliance.imaging.sniffing import MAX_FILE, sniff
from appliance.imaging.sop_class import CT_MULTI_FRAME, reason_to_decline

_OTHER_MODALITIES: Final = frozenset(
    ("CR", "DX", "ES", "IO", "MG", "NM", "OP", "OPT", "PT", "PX", "RF", "RTIMAGE", "ST", "US", "XA")
)
_UID_TAGS: Final = (tags.STUDY_INSTANCE_UID, tags.SERIES_INSTANCE_UID, tags.SOP_INSTANCE_UID)


def read_bytes(data: bytes, name: str = "", size: int | None = None) -> ReadFile:
    """The verdict on one file. Never raises for bad input.

    `name` is the file's name, for telling unfinished transfers; empty if it does not matter. `size` is the whole file's
    where `data` is only its beginning: such a file is never TAKEN.
    """
    seen = sniff(data, name)
    if seen:
        return ReadFile(verdict=FileVerdict.IGNORED, reason=seen)
    opened = open_file(data[:MAX_FILE])
    if opened.media_directory:
        return ReadFile(verdict=FileVerdict.IGNORED, reason="media-directory")
    fields = Fields(opened.body, opened.walk)
    whole = (len(data) if size is None else size) <= min(len(data), MAX_FILE)
    try:
        _check_whole(opened, fields, whole=whole)
        return _read_whole(opened, fields)
    except Refusal as refusal:
        return _refused(refusal, opened, fields)


def _check_whole(opened: Opened, fields: Fields, *, whole: bool) -> None:
    """A file that is not whole is set aside before its class is looked at.

    But of a file too large for a slice the class alone is asked, so that no large report holds its study back.
    """
    too_large = not whole or opened.fault == "too-large"
    sop_class_uid = fields.uid(tags.SOP_CLASS_UID)
    if too_large and sop_class_uid and reason_to_decline(sop_class_uid):
        raise Refusal(FileVerdict.DECLINED, reason_to_decline(sop_class_uid))
    if not whole:
        raise Refusal(FileVerdict.SET_ASIDE, "too-large")
    if opened.fault:
        raise Refusal(FileVerdict.SET_ASIDE, opened.fault, syntax=opened.syntax_uid)


def _read_whole(opened: Opened, fields: Fields) -> ReadFile:
    sop_class_uid = fields.uid(tags.SOP_CLASS_UID)
    if not sop_class_uid:
        raise Refusal(FileVerdict.SET_ASIDE, "no-identity" if sop_class_uid == "" else "bad-uid")
    reason = reason_to_decline(sop_class_uid)
    if reason:
        raise Refusal(FileVerdict.DECLINED, reason)
    uids = _uids(fields)
    _check_modality(fields)
    if opened.syntax is None:
        raise Refusal(FileVerdict.SET_ASIDE, "unsupported-syntax", syntax=opened.syntax_uid)
    if sop_class_uid in CT_MULTI_FRAME:
        raise Refusal(FileVerdict.DECLINED, "unsupported-picture")
    spec = picture_spec(fields)
    try:
        rescale = rescale_of(fields, spec)
        geometry, turn = place(fields, spec.rows, spec.columns)
    except Refusal:
        # A scout needs neither; it must not hold its study back.
        if "LOCALIZER" in fields.codes(tags.IMAGE_TYPE):
            raise Refusal(FileVerdict.DECLINED, "unsupported-picture") from None
        raise
    hu, corrections = to_hounsfield(cells_of(fields, spec, opened.syntax), spec, rescale)
    hu = turned(hu, turn, geometry.rows, geometry.columns)
    marks = set(corrections) | opened.corrections
    if turn.upside_down:
        marks.add("rows-flipped")
    if turn.stretch is not None:
        marks.add("resampled")
    if TILT_FROM_DEG <= geometry.tilt_deg <= AXIAL_WITHIN_DEG:
        marks.add("tilt")
    if opened.syntax.lossy or fields.codes(tags.LOSSY_IMAGE_COMPRESSION) == ("01",):
        marks.add("lossy")
    header = read_header(fields, uids, sop_class_uid, opened.syntax.uid, geometry, frozenset(marks))
    return ReadFile(
        verdict=FileVerdict.TAKEN,
        header=header,
        study_uid=uids[0],
        hu=hu,
        pixel_sha256=hashlib.sha256(hu.data).hexdigest(),
    )


def _uids(fields: Fields) -> tuple[str, str, str]:
    """UIDs of study, series and slice. The meta header's do not count."""
    study, series, sop = (fields.uid(tag) for tag in _UID_TAGS)
    if study is None or series is None or sop is None:
        raise Refusal(FileVerdict.SET_ASIDE, "bad-uid")
    if not (study and series and sop):
        raise Refusal(FileVerdict.SET_ASIDE, "no-identity")
    return study, series, sop


def _check_modality(fields: Fields) -> None:
    """The class says CT. A modality that says another machine is believed; an absent one is not needed."""
    modality = fields.codes(tags.MODALITY)
    if modality == ("MR",):
        raise Refusal(FileVerdict.DECLINED, "mr")
    if modality and modality[0] in _OTHER_MODALITIES:
        raise Refusal(FileVerdict.DECLINED, "not-ct")


def _refused(refusal: Refusal, opened: Opened, fields: Fields) -> ReadFile:
    return ReadFile(
        verdict=refusal.verdict,
        reason=refusal.reason,
        details=tuple(sorted(refusal.details.items())),
        header=_header_of_refused(opened, fields),
        study_uid=fields.uid(tags.STUDY_INSTANCE_UID) or "",
    )


def _header_of_refused(opened: Opened, fields: Fields) -> Header | None:
    """The header, if the file names a series of CT class or CT modality."""
    sop_class_uid = fields.uid(tags.SOP_CLASS_UID) or ""
    is_ct = fields.codes(tags.MODALITY) == ("CT",) or (sop_class_uid != "" and not reason_to_decline(sop_class_uid))
    if not is_ct:
        return None
    try:
        uids = _uids(fields)
    except Refusal:
        return None
    return read_header(fields, uids, sop_class_uid, opened.syntax_uid, corrections=frozenset(opened.corrections))
