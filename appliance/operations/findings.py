"""What a look at the box comes to: one finding, one line."""

from dataclasses import asdict, dataclass
from enum import IntEnum


class Grade(IntEnum):
    """How bad a finding is; the worst is the doctor's exit code."""

    FINE = 0
    FAULT = 1
    CANNOT_WORK = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the doctor."""

    about: str
    grade: Grade
    said: str
    next_step: str = ""

    def as_json(self) -> dict[str, str]:
        """Plain values."""
        return {**asdict(self), "grade": self.grade.name}


def fine(about: str, said: str) -> Finding:
    """Nothing to do."""
    return Finding(about=about, grade=Grade.FINE, said=said)


def bad(about: str, grade: Grade, said: str, next_step: str) -> Finding:
    """Something to mend."""
    return Finding(about=about, grade=grade, said=said, next_step=next_step)
