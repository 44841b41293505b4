"""Finding a patient by what a person types: no matter the case, the accents and the order of the parts of a name."""

import unicodedata
from typing import Final

LONGEST: Final = 100
"""Characters of what is typed that count."""

# Letters that Unicode does not take apart into a letter and a mark.
_PLAIN_LETTER: Final = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i", "ħ": "h", "ŧ": "t"}
)
_PARTS: Final = str.maketrans(dict.fromkeys("^=,;\\", " "))


def folded(text: str) -> str:
    """The text as it is compared: small letters without marks, the parts of a name (DICOM PS3.5 6.2) set apart."""
    if not text.isascii():
        apart = unicodedata.normalize("NFKD", text)
        text = "".join(one for one in apart if not unicodedata.combining(one))
        text = text.casefold().translate(_PLAIN_LETTER)
    return text.lower().translate(_PARTS)


def words_of(sought: str) -> tuple[str, ...]:
    """What is typed, as the words that must all be found."""
    return tuple(folded(sought[:LONGEST]).split())


def matches(words: tuple[str, ...], *texts: str) -> bool:
    """Whether every word stands somewhere in these texts."""
    whole = folded(" ".join(texts))
    return all(word in whole for word in words)
