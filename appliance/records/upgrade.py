"""Brings a ledger to the form that this program knows. Called by the installer, never behind the user's back."""

import os
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection

from appliance.core.errors import CannotStart
from appliance.records.ledger import open_engine, refuse_unsound_sqlite, revision_of
from appliance.records.migrations import REVISIONS

MIGRATIONS: Final = Path(__file__).parent / "migrations"


def upgrade(path: Path) -> tuple[str | None, str]:
    """Creates the ledger or migrates it, in one transaction. Returns the revision before (None: new) and after.

    CannotStart, with the next step, if the folder is missing or not writable, the file is no ledger or a newer one.
    """
    refuse_unsound_sqlite()
    _refuse_folder(path)
    # SQLite makes files by the umask alone; this one holds names of patients.
    before_mask = os.umask(0o077)
    try:
        return _upgrade(path)
    except sa.exc.DatabaseError as error:
        raise CannotStart(
            f"The ledger {path} cannot be upgraded: {error.orig}. Next step: bleedwatch doctor"
        ) from error
    finally:
        os.umask(before_mask)


def alembic_config(connection: Connection | None = None) -> Config:
    """Alembic's settings, without a file of its own."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def script_directory() -> ScriptDirectory:
    """The migrations as Alembic sees them."""
    return ScriptDirectory.from_config(alembic_config())


def _upgrade(path: Path) -> tuple[str | None, str]:
    engine = open_engine(path, migrating=True)
    try:
        # BEGIN IMMEDIATE is the lock: a second upgrade waits, and then finds nothing to do.
        with engine.begin() as connection:
            before = revision_of(connection)
            _refuse_unknown(path, connection, before)
            if before != REVISIONS[-1]:
                command.upgrade(alembic_config(connection), "head")
                _refuse_orphans(path, connection)
            return before, REVISIONS[-1]
    finally:
        engine.dispose()


def _refuse_folder(path: Path) -> None:
    folder = path.parent
    if not folder.is_dir():
        raise CannotStart(f"The folder {folder} for the ledger does not exist. Next step: mkdir -p {folder}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise CannotStart(
            f"The folder {folder} for the ledger is not writable. Next step: give it to this user (chown)"
        )
    if path.exists() and not (path.is_file() and os.access(path, os.R_OK | os.W_OK)):
        raise CannotStart(
            f"The ledger {path} is no file that this user may write. Next step: give it to this user (chown)"
        )


def _refuse_unknown(path: Path, connection: Connection, revision: str | None) -> None:
    if revision is not None and revision not in REVISIONS:
        raise CannotStart(
            f"The ledger {path} is newer than this Bleedwatch (it is at {revision}, {REVISIONS[-1]} is the newest known "
            "here). Next step: install the Bleedwatch that wrote it",
        )
    if revision is None and sa.inspect(connection).get_table_names():
        raise CannotStart(f"{path} is a database of something else. Next step: name another file for the ledger")


def _refuse_orphans(path: Path, connection: Connection) -> None:
    orphans = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
    if orphans:
        raise CannotStart(
            f"The upgrade of {path} would leave {len(orphans)} rows that refer to nothing, so it was undone. "
            "Next step: bleedwatch db check",
        )
