"""Values of a manifest, each held against what it must be. TOML knows nan and inf, and a point of nan is never reached."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


class BadManifest(ValueError):
    """A value is missing or cannot be. The message names it and says what it must be."""


@dataclass(frozen=True, slots=True)
class Table:
    """One table of the manifest; `name` is empty for the whole document."""

    values: dict[str, Any]
    name: str = ""

    def table(self, key: str) -> "Table":
        """The table of this name."""
        value = self._value(key)
        if not isinstance(value, dict):
            raise self._bad(key, "a table", value)
        return Table(value, self._called(key))

    def tables(self, key: str) -> list["Table"]:
        """A list of tables, at least one."""
        value = self._value(key)
        if not isinstance(value, list) or not value or not all(isinstance(one, dict) for one in value):
            raise self._bad(key, "a list of tables", value)
        return [Table(one, f"{self._called(key)}[{index}]") for index, one in enumerate(value)]

    def text(self, key: str) -> str:
        """A text that is not empty."""
        value = self._value(key)
        if not isinstance(value, str) or not value.strip():
            raise self._bad(key, "a text", value)
        return value

    def number(self, key: str, least: float = -math.inf, most: float = math.inf) -> float:
        """A finite number from `least` to `most`."""
        value = self._value(key)
        if not _is_number(value) or not least <= value <= most:
            raise self._bad(key, f"a number{_bounds(least, most)}", value)
        return float(value)

    def above_zero(self, key: str) -> float:
        """A finite number above 0."""
        value = self._value(key)
        if not _is_number(value) or value <= 0:
            raise self._bad(key, "a number above 0", value)
        return float(value)

    def numbers(self, key: str, count: int) -> tuple[float, ...]:
        """So many finite numbers."""
        value = self._value(key)
        if not isinstance(value, list) or len(value) != count or not all(_is_number(one) for one in value):
            raise self._bad(key, f"a list of {count} numbers", value)
        return tuple(float(one) for one in value)

    def whole(self, key: str, least: int, most: int) -> int:
        """A whole number from `least` to `most`."""
        value = self._value(key)
        if not _is_whole(value) or not least <= value <= most:
            raise self._bad(key, f"a whole number{_bounds(least, most)}", value)
        return int(value)

    def wholes(self, key: str, count: int) -> tuple[int, ...]:
        """So many whole numbers above 0."""
        value = self._value(key)
        fits = isinstance(value, list) and len(value) == count and all(_is_whole(one) and one > 0 for one in value)
        if not fits:
            raise self._bad(key, f"a list of {count} whole numbers above 0", value)
        return tuple(int(one) for one in value)

    def must_be(self, key: str, wanted: str | int | Sequence[str]) -> None:
        """Exactly this: anything else is another kind of engine."""
        value = self._value(key)
        if value != (wanted if isinstance(wanted, str | int) else list(wanted)) or isinstance(value, bool):
            raise self._bad(key, f"{wanted!r} for this version of Bleedwatch", value)

    def _value(self, key: str) -> Any:
        if key not in self.values:
            raise BadManifest(f"{self._called(key)} is missing")
        return self.values[key]

    def _called(self, key: str) -> str:
        return f"{self.name}.{key}" if self.name else key

    def _bad(self, key: str, wanted: str, found: object) -> BadManifest:
        return BadManifest(f"{self._called(key)} must be {wanted}, it is {found!r:.80}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _bounds(least: float, most: float) -> str:
    if math.isinf(least) and math.isinf(most):
        return ""
    return f" from {least:g}" if math.isinf(most) else f" from {least:g} to {most:g}"
