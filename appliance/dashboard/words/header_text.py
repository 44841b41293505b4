"""Text of a header that is no name and no number: a description, a kernel, a scanner."""

from typing import Final

from appliance.core.plain_text import plain, shortened

LONGEST: Final = 120  # a description has 64 characters at most (PS3.5 6.2, LO); a scanner's line joins three


def header_text(text: str) -> str:
    """One readable line, cut where it is longer than a header may be."""
    return shortened(" ".join(plain(text).split()), LONGEST)
