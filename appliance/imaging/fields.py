"""Values of header elements, as text and finite numbers. Everything in a header is hostile.

Text is decoded by pydicom's character sets, stripped, and freed of what no screen or log may meet. A value that cannot
be read is absent here, never an exception.
"""

import math
import re
import unicodedata
import warnings
from struct import error as StructError
from struct import unpack
from typing import Final

from pydicom.charset import convert_encodings, decode_bytes, python_encoding

from appliance.imaging.structure import Element, Walk

MAX_VALUE: Final = 1024  # bytes of a value that are looked at
MAX_TEXT: Final = 256  # characters of a text that are kept

_CHARSET: Final = 0x00080005
_UID: Final = re.compile(r"[0-9.]{1,64}")
_HASHED_UID: Final = re.compile(r"[0-9A-Fa-f.]{1,64}")
_NUMBER_FORMS: Final = {b"US": "H", b"SS": "h", b"UL": "I", b"SL": "i", b"FL": "f", b"FD": "d"}
_PADDING: Final = " \0\t\r\n"
_ASCII_ONLY: Final = frozenset(("", "ISO_IR 6", "ISO 2022 IR 6"))
_PERSON_DELIMITERS: Final = frozenset(map(ord, "^=\\\r\n\f\t"))
_TEXT_DELIMITERS: Final = frozenset(map(ord, "\\\r\n\f\t"))


class Fields:
    """The root elements of one walked data set. What was mended on the way stands in `corrections`."""

    def __init__(self, body: bytes, walk: Walk) -> None:
        self.body = body
        self.walk = walk
        self.corrections: set[str] = set()
        self._certain = False  # whether letters beyond ASCII have a character set that we know
        self._order = ">" if walk.encoding.big_endian else "<"
        self._encodings = self._character_sets()

    def __contains__(self, tag: int) -> bool:
        return tag in self.walk.elements

    def raw(self, tag: int) -> bytes:
        """The first bytes of a value, empty where there is none."""
        element = self.walk.elements.get(tag)
        if element is None or element.vr == b"SQ":
            return b""
        if element.length > MAX_VALUE:
            self.corrections.add("text-cleaned")
        return self.body[element.at : element.at + min(element.length, MAX_VALUE)]

    def text(self, tag: int, *, person: bool = False) -> str:
        """A single text, at most MAX_TEXT characters. Several values stay one text, with their backslash."""
        return self._clean(self._decode(self.raw(tag), person=person), cut=True)

    def texts(self, tag: int) -> tuple[str, ...]:
        """The values of a text, each stripped. Absent and empty are the same."""
        text = self._clean(self._decode(self.raw(tag), person=False), cut=False)
        values = tuple(part.strip(_PADDING) for part in text.split("\\"))
        return values if any(values) else ()

    def codes(self, tag: int) -> tuple[str, ...]:
        """The values of a code string, in upper case."""
        return tuple(value.upper() for value in self.texts(tag))

    def has_items(self, tag: int) -> bool:
        """Whether a sequence is there and not empty."""
        element = self.walk.elements.get(tag)
        return element is not None and self.body[element.at : element.at + 4] in (b"\xfe\xff\0\xe0", b"\xff\xfe\xe0\0")

    def uid(self, tag: int) -> str | None:
        """A UID; empty where there is none, None where it is not valid (PS3.5 9.1).

        Some anonymisers write a hexadecimal hash: against the rules, but a name that is as good as any other.
        """
        value = self.raw(tag).decode("latin-1").rstrip("\0 ")
        if not value or _UID.fullmatch(value):
            return value
        if _HASHED_UID.fullmatch(value):
            self.corrections.add("header-mended")
            return value
        return None

    def numbers(self, tag: int) -> tuple[float, ...] | None:
        """All values as finite numbers; None where one of them is none, empty where there is no value."""
        element = self.walk.elements.get(tag)
        if element is None:
            return ()
        raw = self.raw(tag)
        form = self._form(tag, element, raw)
        if form is not None:
            return self._binary(raw, form)
        values = raw.decode("latin-1").strip(_PADDING)
        if not values:
            return ()
        try:
            found = tuple(float(part.strip(_PADDING).replace("_", "?")) for part in values.split("\\"))
        except ValueError:
            return None
        return found if all(map(math.isfinite, found)) else None

    def number(self, tag: int) -> float | None:
        """One number. Several that agree are one, and marked; None where there is none, or it cannot be read."""
        values = self.numbers(tag)
        if not values:
            return None
        if len(values) > 1:
            self.corrections.add("header-mended")
            if any(value != values[0] for value in values):
                return None
        return values[0]

    def whole(self, tag: int) -> int | None:
        """One whole number."""
        value = self.number(tag)
        return int(value) if value is not None and value == int(value) else None

    def unreadable(self, tag: int) -> bool:
        """Whether there is a value that is no number."""
        return self.numbers(tag) is None

    def _form(self, tag: int, element: Element, raw: bytes) -> str | None:
        """The struct form of a binary number; None for numbers written as text."""
        if element.vr in _NUMBER_FORMS:
            return _NUMBER_FORMS[element.vr]
        if element.vr in (b"", b"UN", b"OB", b"OW") and tag >> 16 == 0x0028 and tag & 0xFFFF in _BINARY_0028:
            return "H"
        return None

    def _binary(self, raw: bytes, form: str) -> tuple[float, ...] | None:
        size = {"H": 2, "h": 2, "I": 4, "i": 4, "f": 4, "d": 8}[form]
        try:
            found = unpack(f"{self._order}{len(raw) // size}{form}", raw[: len(raw) // size * size])
        except StructError:
            return None
        values = tuple(float(value) for value in found)
        return values if all(map(math.isfinite, values)) else None

    def _character_sets(self) -> list[str]:
        terms = [part.strip(_PADDING) for part in self.raw(_CHARSET).decode("latin-1").split("\\")]
        self._certain = all(term in python_encoding for term in terms) and any(
            term not in _ASCII_ONLY for term in terms
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                return convert_encodings(terms)
            except (LookupError, ValueError, TypeError):
                return ["latin_1"]

    def _decode(self, raw: bytes, *, person: bool) -> str:
        if raw.isascii() and b"\x1b" not in raw:
            return raw.decode("ascii")
        delimiters = _PERSON_DELIMITERS if person else _TEXT_DELIMITERS
        with warnings.catch_warnings(record=True) as doubts:
            warnings.simplefilter("always")
            try:
                text = decode_bytes(raw, self._encodings, set(delimiters))
            except (LookupError, ValueError):
                text = raw.decode("latin-1")
                self.corrections.add("charset-guessed")
        if doubts or "\ufffd" in text or not self._certain:
            self.corrections.add("charset-guessed")
        return text

    def _clean(self, text: str, *, cut: bool) -> str:
        text = text.strip(_PADDING)
        kept = text if text.isascii() and text.isprintable() else "".join(filter(_may_be_shown, text))
        if cut and len(kept) > MAX_TEXT:
            kept = kept[:MAX_TEXT]
        if len(kept) != len(text):
            self.corrections.add("text-cleaned")
        return kept.strip()


_BINARY_0028: Final = frozenset((0x0002, 0x0010, 0x0011, 0x0100, 0x0101, 0x0102, 0x0103, 0x0120, 0x0121))
"""Elements of group 0028 whose values are 16-bit numbers (PS3.6)."""


def _may_be_shown(character: str) -> bool:
    """Control, format (bidi), surrogate, private and unassigned characters never reach a screen or a log."""
    return unicodedata.category(character)[0] != "C" and unicodedata.category(character) not in ("Zl", "Zp")
