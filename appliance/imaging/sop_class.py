"""What kind of object a file holds, by its SOP class (PS3.4 annex B). The class counts, never the modality alone."""

from typing import Final

_STORAGE: Final = "1.2.840.10008.5.1.4.1.1."

CT_SLICE: Final = _STORAGE + "2"
CT_MULTI_FRAME: Final = frozenset((_STORAGE + "2.1", _STORAGE + "2.2"))
CT_CLASSES: Final = frozenset((CT_SLICE, *CT_MULTI_FRAME))

_MR: Final = _STORAGE + "4"
_SECONDARY_CAPTURE: Final = _STORAGE + "7"

# Classes and families of classes without a picture of the patient.
_NO_PICTURE: Final = tuple(
    _STORAGE + part
    for part in (
        "9",  # waveforms
        "11",  # presentation states
        "30",  # parametric maps
        "66",  # raw data, registrations, segmentations, surfaces
        "67",  # real world value maps
        "68",
        "78",
        "79",
        "80",
        "88",  # reports, key objects, dose
        "90",
        "91",
        "104",  # encapsulated documents
        "200",
        "201",
        "481",  # radiotherapy
    )
)
_RT_IMAGES: Final = (_STORAGE + "481.1",)


def _within(uid: str, family: str) -> bool:
    return uid == family or uid.startswith(family + ".")


def reason_to_decline(sop_class_uid: str) -> str:
    """The reason code of a class that is not CT; empty for CT."""
    if sop_class_uid in CT_CLASSES:
        return ""
    if _within(sop_class_uid, _MR):
        return "mr"
    if _within(sop_class_uid, _SECONDARY_CAPTURE):
        return "secondary-capture"
    if sop_class_uid not in _RT_IMAGES and any(_within(sop_class_uid, family) for family in _NO_PICTURE):
        return "no-picture"
    return "not-ct"
