"""Text that came from outside, as it may be shown: without what no person can read."""

import unicodedata
from typing import Final

_SEPARATORS: Final = ("Zl", "Zp")


def plain(text: str) -> str:
    """The text without control, format (bidi), surrogate, private and unassigned characters and line separators.

    They turn the direction of what follows round, or hide it.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(filter(_is_readable, text))


def unreadable(text: str) -> int:
    """How many characters `plain` takes away."""
    return len(text) - len(plain(text))


def shortened(text: str, characters: int) -> str:
    """At most so many characters; what was cut is said by an ellipsis."""
    return text if len(text) <= characters else text[: characters - 1].rstrip() + "…"


def _is_readable(character: str) -> bool:
    category = unicodedata.category(character)
    return category[0] != "C" and category not in _SEPARATORS
