"""The ledger: one SQLite file, opened in the one way that is safe, and its transactions.

Writers begin with BEGIN IMMEDIATE: a transaction that reads first and writes later would otherwise fail at once when
another process has written between, without waiting. Readers begin with a plain BEGIN and see one state throughout.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from pysqlite3 import dbapi2
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine

from appliance.core.errors import CannotStart, Fault
from appliance.records.migrations import REVISIONS

__all__ = ["BUSY_TIMEOUT_MS", "Connection", "Ledger", "open_engine", "refuse_unsound_sqlite", "sqlite_is_sound"]

BUSY_TIMEOUT_MS: Final = 5000
"""How long a writer waits for another: transactions take milliseconds, so a longer wait is a fault. A program that has
another way to tell waits less."""
WAL_LIMIT_BYTES: Final = 64 * 2**20

_PRAGMAS: Final = (
    f"busy_timeout = {BUSY_TIMEOUT_MS}",
    "journal_mode = WAL",
    "synchronous = FULL",  # a committed alert outlives a power cut
    "foreign_keys = ON",
    "trusted_schema = OFF",
    "cell_size_check = ON",
    "secure_delete = ON",
    f"journal_size_limit = {WAL_LIMIT_BYTES}",
)

_MIGRATING: Final = (
    "auto_vacuum = INCREMENTAL",  # counts on a new file alone, and before anything is written to it
    *_PRAGMAS,
    "foreign_keys = OFF",  # a batch migration drops tables, which would delete the rows that refer to them
)

_NOTEBOOK: Final = (
    f"busy_timeout = {BUSY_TIMEOUT_MS}",
    "journal_mode = WAL",
    "synchronous = OFF",  # it lies in memory, and is gone with the power in any case
    "foreign_keys = OFF",  # it holds alerts without the studies that they refer to
)

_SOUND_BRANCHES: Final = {(3, 44): 6, (3, 50): 7, (3, 51): 3}
"""Branches that the repair of the WAL-reset bug was carried back to, and their first sound patch."""
_SOUND_FROM: Final = (3, 53, 0)  # 3.52.0 was withdrawn


def sqlite_is_sound(version: tuple[int, ...]) -> bool:
    """Whether this SQLite is free of the bug that can lose commits in WAL mode (3.7.0 to 3.51.2; sqlite.org/changes)."""
    if version >= _SOUND_FROM:
        return True
    least = _SOUND_BRANCHES.get((version[0], version[1]))
    return least is not None and version[2] >= least


def refuse_unsound_sqlite(version: tuple[int, ...] = dbapi2.sqlite_version_info) -> None:
    """CannotStart if the SQLite in use can lose commits."""
    if not sqlite_is_sound(version):
        said = ".".join(str(part) for part in version)
        raise CannotStart(
            f"SQLite {said} can lose records (the WAL-reset bug). Install pysqlite3 from requirements.lock, "
            "which brings SQLite 3.51.3 or newer.",
        )


def open_engine(path: Path, *, migrating: bool = False, notebook: bool = False) -> Engine:
    """An engine by the recipe: isolation_level None, and BEGIN sent by us. No error of it shows a value of a row."""
    engine = sa.create_engine(
        f"sqlite+pysqlite:///{path}", module=dbapi2, pool_size=4, max_overflow=12, hide_parameters=True
    )
    pragmas = _MIGRATING if migrating else _NOTEBOOK if notebook else _PRAGMAS

    @event.listens_for(engine, "connect")
    def _connected(connection: Any, _record: object) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        try:
            for pragma in pragmas:
                cursor.execute(f"PRAGMA {pragma}")
        finally:
            cursor.close()

    @event.listens_for(engine, "begin")
    def _begun(connection: Connection) -> None:
        options = connection.get_execution_options()
        if options.get("read_only", False):
            connection.exec_driver_sql("BEGIN")
            return
        connection.exec_driver_sql(f"PRAGMA busy_timeout = {options.get('patience_ms', BUSY_TIMEOUT_MS)}")
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


class Ledger:
    """An open ledger. May be shared by the threads of one process, never over a fork."""

    def __init__(self, path: Path, engine: Engine) -> None:
        self.path = path
        self.patience_ms = BUSY_TIMEOUT_MS
        """How long a writer waits for another."""
        self._engine = engine
        self._readers = engine.execution_options(read_only=True)
        self._watch = engine.raw_connection()
        self._watch_lock = threading.Lock()
        self._inside = threading.local()

    @classmethod
    def open(cls, path: Path) -> "Ledger":
        """Opens a ledger whose form is the one that this program knows. CannotStart in words otherwise."""
        refuse_unsound_sqlite()
        if not path.is_file():
            raise CannotStart(f"The ledger {path} does not exist yet. Next step: bleedwatch db upgrade")
        if not (os.access(path, os.R_OK | os.W_OK) and os.access(path.parent, os.W_OK | os.X_OK)):
            raise CannotStart(
                f"The ledger {path} or its folder is not writable. Next step: give both to this user (chown)"
            )
        engine = open_engine(path)
        try:
            _refuse_other_form(path, engine)
            return cls(path, engine)
        except sa.exc.DatabaseError as error:
            engine.dispose()
            raise CannotStart(
                f"The ledger {path} cannot be opened: {error.orig}. Next step: bleedwatch doctor"
            ) from error
        except CannotStart:
            engine.dispose()
            raise

    @contextmanager
    def writing(self, *, patience_ms: int | None = None) -> Iterator[Connection]:
        """One transaction that writes. Committed at the end of the block, rolled back by any exception.

        Keep it short: everybody else who writes waits, as long as its patience lasts. Fault `ledger-not-writable` or
        `ledger-damaged` if SQLite fails.
        """
        if getattr(self._inside, "writing", False):
            raise RuntimeError("a transaction that writes inside another would wait for itself")
        self._inside.writing = True
        try:
            patient = self._engine.execution_options(patience_ms=patience_ms or self.patience_ms)
            with _faults(), patient.begin() as connection:
                yield connection
        finally:
            self._inside.writing = False

    def prove_writable(self, *, patience_ms: int) -> None:
        """Writes to the disk, and nothing that counts. Fault as `writing`."""
        with self.writing(patience_ms=patience_ms) as connection:
            connection.exec_driver_sql("PRAGMA user_version = 0")  # never used for anything else

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One transaction that only reads, and sees one state throughout. Never blocked by a writer."""
        with _faults(), self._readers.connect() as connection, connection.begin():
            yield connection

    def data_version(self) -> int:
        """A number that changes when anybody has committed. Only good for comparing with an earlier one."""
        with self._watch_lock, _faults():
            cursor = self._watch.cursor()
            try:
                cursor.execute("PRAGMA data_version")
                (version,) = cursor.fetchone() or (0,)
                return int(version)
            finally:
                cursor.close()

    def close(self) -> None:
        """Gives all connections back. The ledger cannot be used any more."""
        with self._watch_lock:
            self._watch.close()
        self._engine.dispose()

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def revision_of(connection: Connection) -> str | None:
    """The revision of the tables, None where there are none."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    found = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    return None if found is None else str(found)


def _refuse_other_form(path: Path, engine: Engine) -> None:
    with engine.execution_options(read_only=True).connect() as connection:
        journal = connection.exec_driver_sql("PRAGMA journal_mode").scalar()
        revision = revision_of(connection)
    if journal != "wal":
        raise CannotStart(
            f"The ledger {path} cannot be kept in WAL mode here. Next step: put it on a disk of this machine, never on a "
            "network share",
        )
    if revision == REVISIONS[-1]:
        return
    if revision is None or revision in REVISIONS:
        raise CannotStart(
            f"The ledger {path} is older than this Bleedwatch (it is at {revision or 'nothing'}, {REVISIONS[-1]} is "
            "needed). Next step: stop the programs, then bleedwatch db upgrade",
        )
    raise CannotStart(
        f"The ledger {path} is newer than this Bleedwatch (it is at {revision}, {REVISIONS[-1]} is the newest known "
        "here). Next step: install the Bleedwatch that wrote it",
    )


_DAMAGED: Final = frozenset({dbapi2.SQLITE_CORRUPT, dbapi2.SQLITE_NOTADB})


@contextmanager
def _faults() -> Iterator[None]:
    """SQLite's failures as ours. A broken rule of the tables is a defect of the caller and passes as it is."""
    try:
        yield
    except sa.exc.IntegrityError:
        raise
    except sa.exc.DatabaseError as error:
        raise fault_of(error.orig) from error
    except dbapi2.DatabaseError as error:
        raise fault_of(error) from error


def fault_of(error: BaseException | None) -> Fault:
    """The fault that an error of SQLite is. The message never holds a value of a row."""
    code = getattr(error, "sqlite_errorcode", None)
    damaged = code is not None and code & 0xFF in _DAMAGED
    name = getattr(error, "sqlite_errorname", None) or str(error)
    return Fault("ledger-damaged" if damaged else "ledger-not-writable", f"SQLite: {name}")
