"""How a study or a series is named outside the box: for who knows its UID, and nobody else."""

import hashlib
from typing import Final

HASH_CHARACTERS: Final = 16


def study_hash(study_uid: str) -> str:
    """The beginning of the UID's sha256, 16 hexadecimal digits."""
    return uid_hash(study_uid)


def uid_hash(uid: str) -> str:
    """The same of any UID: of a series, of a picture."""
    return hashlib.sha256(uid.encode()).hexdigest()[:HASH_CHARACTERS]
