"""The migrations, oldest first. `REVISIONS` lets a program know its own form without loading Alembic."""

from typing import Final

REVISIONS: Final = ("0001", "0002")
