"""Reconstruction kernels. A list of sharp ones is safer than one of soft ones: vendors name them as they like."""

import re
from collections.abc import Sequence
from typing import Final

_SIEMENS: Final = re.compile(r"(HR|HC|HF|HV|BR|BF|BV|QR|H|B|J)(\d{2})[A-Z]{0,2}")
_SIEMENS_SHARP_FROM: Final = {"HR": 50, "HC": 50, "HF": 50, "HV": 50, "BR": 60, "BF": 60, "BV": 60, "QR": 60}
_SIEMENS_ALWAYS_SHARP: Final = re.compile(r"(?:U|UR|BL|HP)\d{2}[A-Z]{0,2}")
_OLD_SIEMENS_SHARP_FROM: Final = 60

_GE_SHARP: Final = ("BONE", "EDGE", "LUNG", "DETAIL", "ULTRA")
_GE_SOFT: Final = ("STANDARD", "STND", "STD", "SOFT", "HEAD", "BRAIN", "NEURO")
_PHILIPS_SHARP: Final = frozenset(("D", "E", "L", "YA", "YB", "YC", "YD", "YE"))
_PHILIPS_SOFT: Final = frozenset(("A", "B", "C", "UA", "UB", "UC"))
_CANON: Final = re.compile(r"FC(\d{2})[A-Z]?")
_CANON_SHARP: Final = frozenset(range(3, 4)) | {5, 8}  # tens: FC30 bone and inner ear, FC50 lung, FC80 bone
_ANY_SHARP: Final = ("SHARP", "OSTEO", "KNOCHEN")


def is_sharp(kernel: Sequence[str]) -> bool | None:
    """Whether a kernel is a sharp one; None where it is unknown. The first value names it, a second is its strength."""
    name = kernel[0].strip().upper() if kernel else ""
    if not name:
        return None
    siemens = _SIEMENS.fullmatch(name)
    if siemens is not None:
        sharp_from = _SIEMENS_SHARP_FROM.get(siemens[1], _OLD_SIEMENS_SHARP_FROM)
        number = int(siemens[2])
        # Between soft and sharp nobody agrees; unknown is read.
        return True if number >= sharp_from else False if number < 50 else None
    canon = _CANON.fullmatch(name)
    if canon is not None:
        return int(canon[1]) // 10 in _CANON_SHARP
    if _SIEMENS_ALWAYS_SHARP.fullmatch(name) or name in _PHILIPS_SHARP or name.startswith(_GE_SHARP):
        return True
    if any(word in name for word in _ANY_SHARP):
        return True
    if name in _PHILIPS_SOFT or name.startswith(_GE_SOFT):
        return False
    return None
