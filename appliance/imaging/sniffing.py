"""What the name and the first bytes of a file say before anything is parsed."""

import re
from typing import Final

# The least that a walker needs to begin with, and what `sniff` looks at.
FIRST_BYTES: Final = 256

MAX_FILE: Final = 64 << 20  # bytes that are looked at; a CT slice has less than one MiB

_TEMP_NAMES: Final = re.compile(
    r"""
    \..*                     # hidden: rsync and most receivers write so
    | .*~ | ~\$.*            # editors, office programs
    | .*\.(part|partial|filepart|tmp|temp|crdownload|download|swp|lock|writing|inprogress)
    | \#.*                   # O_TMPFILE: its close event names it by number
    """,
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)


def is_temp_name(name: str) -> bool:
    """Whether a name says that its transfer is not finished. `name` is the last part of a path."""
    return _TEMP_NAMES.fullmatch(name) is not None


def may_be_dicom(first: bytes) -> bool:
    """Whether a file may be DICOM by its first bytes: the magic behind a preamble, or an element as files begin.

    The preamble itself may be anything and is never trusted.
    """
    if first[128:132] == b"DICM":
        return True
    if len(first) < 8:
        return False
    group, element = first[0] | first[1] << 8, first[2] | first[3] << 8
    if group == 2 or (group == 8 and element <= 0x0100):
        return True
    return first[:2] in (b"\0\2", b"\0\x08") and first[4:6].isalpha() and first[4:6].isupper()


def sniff(first: bytes, name: str = "") -> str:
    """The reason code of a file that is ignored; empty where it must be opened."""
    if name and is_temp_name(name):
        return "temp-name"
    if not first:
        return "empty-file"
    return "" if may_be_dicom(first) else "not-dicom"
