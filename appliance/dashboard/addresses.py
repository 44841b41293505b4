"""Numbers in addresses. Whoever can reach this box can write any address."""

from typing import Final

MOST_DIGITS: Final = 18
"""What a column holds has 19 at most; a number of thousands of digits is not even read."""


def row_id(text: str) -> int:
    """The number of a row; 0, which is nobody's, for anything else."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= MOST_DIGITS else 0
