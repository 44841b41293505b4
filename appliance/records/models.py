"""The tables. Types are portable: PostgreSQL by the same models is a later step.

Times are UTC nanoseconds as integers. Probabilities are REAL, which keeps every bit of a float64. Constraints have names,
because an unnamed one can never be dropped by a migration on SQLite.
"""

from enum import StrEnum
from typing import Any, Final

import sqlalchemy as sa

from appliance.core.alerts import AlertState, Happening, Judged
from appliance.core.studies import StudyHappening, StudyJudged
from appliance.core.words import (
    LABELS,
    FileVerdict,
    Finality,
    Level,
    Outcome,
    SeriesState,
    SeriesVerdict,
    StudyState,
)

NAMES: Final = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
metadata: Final = sa.MetaData(naming_convention=NAMES)

# SQLite gives row ids by itself to INTEGER keys alone.
_Id: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_Ns: Final = sa.BigInteger

ALERT_KINDS: Final = ("clinical", "technical", "test")
DELIVERY_STATES: Final = ("DUE", "DONE", "DEAD")


class CleanText(sa.TypeDecorator[str]):
    """Text without NUL and lone surrogates: headers hold both, PostgreSQL refuses the one and every driver the other."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:
        """The text as it can be stored."""
        if value is None or (value.isascii() and "\0" not in value):
            return value
        return value.replace("\0", "").encode("utf-8", "replace").decode("utf-8")


def _key() -> sa.Column[int]:
    return sa.Column("id", _Id, primary_key=True)


def _refers(name: str, to: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, _Id, sa.ForeignKey(f"{to}.id"), nullable=nullable)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, CleanText, nullable=False)


def _json(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.JSON, nullable=False)


def _ns(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, _Ns, nullable=nullable)


def _flag(name: str) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean(create_constraint=False), nullable=False)


def _word(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(24), nullable=nullable)


def _one_of(name: str, words: type[StrEnum] | tuple[str, ...]) -> sa.CheckConstraint:
    listed = ", ".join(f"'{word}'" for word in words)
    return sa.CheckConstraint(f"{name} IN ({listed})", name=f"{name}_known")


file = sa.Table(
    "file",
    metadata,
    _key(),
    _text("path"),
    sa.Column("device", sa.BigInteger, nullable=False),
    sa.Column("inode", sa.BigInteger, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    _ns("mtime_ns"),
    _ns("ctime_ns"),
    sa.Column("sha256", sa.String(64), nullable=False),
    _word("verdict"),
    _text("reason"),
    _json("details"),
    sa.Column("attempts", sa.Integer, nullable=False),
    _ns("landed_ns"),
    _text("study_uid"),
    _flag("removed"),
    _one_of("verdict", FileVerdict),
    sa.CheckConstraint("attempts >= 1", name="attempts_counted"),
    sa.CheckConstraint("size >= 0", name="size_not_negative"),
    sa.Index(None, "path"),
    sa.Index(None, "study_uid", "verdict"),
    sa.Index(None, "landed_ns"),
    sa.Index(
        "ix_file_landed",
        "id",
        sqlite_where=sa.text("NOT removed"),
        postgresql_where=sa.text("NOT removed"),
    ),
)

study = sa.Table(
    "study",
    metadata,
    _key(),
    _text("study_uid"),
    _text("patient_identity"),
    _text("patient_id"),
    _text("patient_name"),
    _text("birth_date"),
    _text("sex"),
    _text("accession"),
    _text("description"),
    _text("scanner"),
    sa.Column("age_years", sa.Double, nullable=True),
    _word("state"),
    _word("outcome", nullable=True),
    _json("reasons"),
    _ns("opened_ns"),
    _ns("last_landed_ns"),
    _ns("closed_ns", nullable=True),
    _text("seen_by"),
    _word("judged", nullable=True),
    _one_of("state", StudyState),
    _one_of("outcome", Outcome),
    _one_of("judged", StudyJudged),
    sa.CheckConstraint("(state = 'CLOSED') = (closed_ns IS NOT NULL)", name="closed_with_time"),
    sa.CheckConstraint("state = 'OPEN' OR outcome IS NOT NULL", name="closed_with_outcome"),
    sa.UniqueConstraint("study_uid", "patient_identity"),
    sa.Index(None, "state"),
    sa.Index(None, "last_landed_ns"),
    sa.Index(None, "judged"),
)

study_event = sa.Table(
    "study_event",
    metadata,
    _key(),
    _refers("study_id", "study"),
    _word("kind"),
    _ns("at_ns"),
    _text("by"),
    _word("outcome", nullable=True),
    _word("judged", nullable=True),
    _json("details"),
    _one_of("kind", StudyHappening),
    _one_of("outcome", Outcome),
    _one_of("judged", StudyJudged),
    sa.Index(None, "study_id"),
)

series = sa.Table(
    "series",
    metadata,
    _key(),
    _refers("study_id", "study"),
    _text("series_uid"),
    _json("header"),
    _word("state"),
    _word("verdict"),
    _json("reasons"),
    _json("corrections"),
    _flag("may_be_head"),
    _ns("first_landed_ns"),
    _ns("last_landed_ns"),
    _ns("closed_ns", nullable=True),
    _one_of("state", SeriesState),
    _one_of("verdict", SeriesVerdict),
    sa.CheckConstraint("(state = 'CLOSED') = (closed_ns IS NOT NULL)", name="closed_with_time"),
    sa.UniqueConstraint("study_id", "series_uid"),
    sa.Index(None, "state"),
)

slice_ = sa.Table(
    "slice",
    metadata,
    _key(),
    _refers("series_id", "series"),
    _text("sop_uid"),
    sa.Column("pixel_sha256", sa.String(64), nullable=False),
    sa.Column("file_sha256", sa.String(64), nullable=False),
    _text("stored"),
    sa.Column("position_mm", sa.Double, nullable=False),
    _json("geometry"),
    sa.Column("instance_number", sa.BigInteger, nullable=True),
    sa.Column("acquisition_number", sa.BigInteger, nullable=True),
    _text("acquired"),
    _json("corrections"),
    _ns("landed_ns"),
    _json("ms"),
    *(sa.Column(f"p_{label}", sa.Double, nullable=True) for label in LABELS),
    sa.Column("logits", sa.LargeBinary, nullable=True),  # float32, little-endian
    sa.Column("embedding", sa.LargeBinary, nullable=True),  # float32, little-endian
    sa.Column("heat", sa.LargeBinary, nullable=True),  # uint8, HEAT_SIZE x HEAT_SIZE
    sa.Column("seen", sa.JSON(none_as_null=True), nullable=True),  # box, peak and what the pixels show
    sa.CheckConstraint("(logits IS NULL) = (heat IS NULL) AND (logits IS NULL) = (p_any IS NULL)", name="scored_whole"),
    sa.UniqueConstraint("series_id", "sop_uid", "pixel_sha256"),
    sa.Index(None, "sop_uid"),
)

reading = sa.Table(
    "reading",
    metadata,
    _key(),
    _refers("series_id", "series"),
    sa.Column("revision", sa.Integer, nullable=False),
    _word("finality"),
    *(sa.Column(f"p_{label}", sa.Double, nullable=True) for label in LABELS),
    _word("outcome"),
    _json("reasons"),
    sa.Column("slices", sa.Integer, nullable=False),
    sa.Column("finding", sa.JSON(none_as_null=True), nullable=True),
    sa.Column("engine_sha256", sa.String(64), nullable=False),
    _text("engine_name"),
    _text("backend"),
    sa.Column("critical_point", sa.Double, nullable=False),
    sa.Column("review_point", sa.Double, nullable=False),
    _ns("made_ns"),
    _one_of("finality", Finality),
    _one_of("outcome", Outcome),
    sa.CheckConstraint("revision >= 1", name="revision_counted"),
    sa.Index(None, "series_id"),
)

alert = sa.Table(
    "alert",
    metadata,
    _key(),
    _word("kind"),
    _text("first"),
    _text("second"),
    _text("third"),
    _word("level"),
    _refers("study_id", "study", nullable=True),
    _refers("series_id", "series", nullable=True),
    _refers("reading_id", "reading", nullable=True),
    _json("details"),
    # The stored fold of its events.
    _word("state"),
    _word("finality"),
    _ns("raised_ns"),
    _ns("changed_ns"),
    _ns("sounded_ns", nullable=True),
    _flag("open"),
    _flag("sounds"),
    _flag("withdrawn"),
    _flag("doubted"),
    _flag("ended"),
    _text("acknowledged_by"),
    _ns("acknowledged_ns", nullable=True),
    _word("judged", nullable=True),
    sa.Column("sounding_event_id", _Id, nullable=True),
    sa.Column("last_event_id", _Id, nullable=False),
    _one_of("kind", ALERT_KINDS),
    _one_of("level", Level),
    _one_of("state", AlertState),
    _one_of("finality", Finality),
    _one_of("judged", Judged),
    # One row that new events of a key go to. A technical alert that has ended leaves its place to the next.
    sa.Index(
        "uq_alert_key",
        "kind",
        "first",
        "second",
        "third",
        unique=True,
        sqlite_where=sa.text("NOT ended"),
        postgresql_where=sa.text("NOT ended"),
    ),
    sa.Index(None, "open"),
    sa.Index(None, "study_id"),
)

alert_event = sa.Table(
    "alert_event",
    metadata,
    _key(),
    _refers("alert_id", "alert"),
    _word("kind"),
    _ns("at_ns"),
    _text("by"),
    _word("level", nullable=True),
    _word("finality", nullable=True),
    _flag("new_acquisition"),
    _flag("sounds"),
    _word("judged", nullable=True),
    _refers("reading_id", "reading", nullable=True),
    _json("details"),
    _one_of("kind", Happening),
    _one_of("level", Level),
    _one_of("finality", Finality),
    _one_of("judged", Judged),
    sa.Index(None, "alert_id"),
    # What a person or the machine has said of an alert that has been told for weeks; and whether a channel told it.
    sa.Index(None, "alert_id", "kind", "by"),
    # An id is given once and never again: it is the id of the live stream.
    sqlite_autoincrement=True,
)

delivery = sa.Table(
    "delivery",
    metadata,
    _key(),
    _refers("alert_id", "alert"),
    _refers("event_id", "alert_event"),
    _text("channel"),
    _text("idempotency_key"),
    _word("state"),
    sa.Column("attempts", sa.Integer, nullable=False),
    _ns("created_ns"),
    _ns("due_ns"),
    _ns("ended_ns", nullable=True),
    sa.Column("last_status", sa.Integer, nullable=True),
    _text("last_error"),
    _one_of("state", DELIVERY_STATES),
    sa.CheckConstraint("(state = 'DUE') = (ended_ns IS NULL)", name="ended_with_time"),
    sa.UniqueConstraint("event_id", "channel"),
    sa.UniqueConstraint("idempotency_key"),
    sa.Index(None, "state", "due_ns"),
    sa.Index(None, "channel"),
)

engine_event = sa.Table(
    "engine_event",
    metadata,
    _key(),
    _word("kind"),
    _ns("at_ns"),
    sa.Column("engine_sha256", sa.String(64), nullable=False),
    _text("engine_name"),
    _text("backend"),
    _json("details"),
)
