"""The first form of the ledger."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Creates every table."""
    op.create_table(
        "engine_event",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("kind", sa.String(length=24), nullable=False),
        sa.Column("at_ns", sa.BigInteger(), nullable=False),
        sa.Column("engine_sha256", sa.String(length=64), nullable=False),
        sa.Column("engine_name", sa.Text(), nullable=False),
        sa.Column("backend", sa.Text(), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_engine_event")),
    )
    op.create_table(
        "file",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("device", sa.BigInteger(), nullable=False),
        sa.Column("inode", sa.BigInteger(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("mtime_ns", sa.BigInteger(), nullable=False),
        sa.Column("ctime_ns", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("verdict", sa.String(length=24), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("landed_ns", sa.BigInteger(), nullable=False),
        sa.Column("study_uid", sa.Text(), nullable=False),
        sa.Column("removed", sa.Boolean(), nullable=False),
        sa.CheckConstraint(
            "verdict IN ('TAKEN', 'DECLINED', 'IGNORED', 'DUPLICATE', 'SET_ASIDE', 'POISON')",
            name=op.f("ck_file_verdict_known"),
        ),
        sa.CheckConstraint("attempts >= 1", name=op.f("ck_file_attempts_counted")),
        sa.CheckConstraint("size >= 0", name=op.f("ck_file_size_not_negative")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_file")),
    )
    op.create_index(
        "ix_file_landed",
        "file",
        ["id"],
        unique=False,
        sqlite_where=sa.text("NOT removed"),
        postgresql_where=sa.text("NOT removed"),
    )
    op.create_index(op.f("ix_file_landed_ns"), "file", ["landed_ns"], unique=False)
    op.create_index(op.f("ix_file_path"), "file", ["path"], unique=False)
    op.create_index(op.f("ix_file_study_uid_verdict"), "file", ["study_uid", "verdict"], unique=False)
    op.create_table(
        "study",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("study_uid", sa.Text(), nullable=False),
        sa.Column("patient_identity", sa.Text(), nullable=False),
        sa.Column("patient_id", sa.Text(), nullable=False),
        sa.Column("patient_name", sa.Text(), nullable=False),
        sa.Column("birth_date", sa.Text(), nullable=False),
        sa.Column("sex", sa.Text(), nullable=False),
        sa.Column("accession", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("scanner", sa.Text(), nullable=False),
        sa.Column("age_years", sa.Double(), nullable=True),
        sa.Column("state", sa.String(length=24), nullable=False),
        sa.Column("outcome", sa.String(length=24), nullable=True),
        sa.Column("reasons", sa.JSON(), nullable=False),
        sa.Column("opened_ns", sa.BigInteger(), nullable=False),
        sa.Column("last_landed_ns", sa.BigInteger(), nullable=False),
        sa.Column("closed_ns", sa.BigInteger(), nullable=True),
        sa.Column("seen_by", sa.Text(), nullable=False),
        sa.CheckConstraint("(state = 'CLOSED') = (closed_ns IS NOT NULL)", name=op.f("ck_study_closed_with_time")),
        sa.CheckConstraint(
            "outcome IN ('CRITICAL', 'REVIEW', 'NO FINDING', 'INDETERMINATE', 'INCOMPLETE', 'NOT ANALYSED')",
            name=op.f("ck_study_outcome_known"),
        ),
        sa.CheckConstraint("state = 'OPEN' OR outcome IS NOT NULL", name=op.f("ck_study_closed_with_outcome")),
        sa.CheckConstraint("state IN ('OPEN', 'CLOSED')", name=op.f("ck_study_state_known")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_study")),
        sa.UniqueConstraint("study_uid", "patient_identity", name=op.f("uq_study_study_uid_patient_identity")),
    )
    op.create_index(op.f("ix_study_last_landed_ns"), "study", ["last_landed_ns"], unique=False)
    op.create_index(op.f("ix_study_state"), "study", ["state"], unique=False)
    op.create_table(
        "series",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("study_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("series_uid", sa.Text(), nullable=False),
        sa.Column("header", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(length=24), nullable=False),
        sa.Column("verdict", sa.String(length=24), nullable=False),
        sa.Column("reasons", sa.JSON(), nullable=False),
        sa.Column("corrections", sa.JSON(), nullable=False),
        sa.Column("may_be_head", sa.Boolean(), nullable=False),
        sa.Column("first_landed_ns", sa.BigInteger(), nullable=False),
        sa.Column("last_landed_ns", sa.BigInteger(), nullable=False),
        sa.Column("closed_ns", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("(state = 'CLOSED') = (closed_ns IS NOT NULL)", name=op.f("ck_series_closed_with_time")),
        sa.CheckConstraint("state IN ('OPEN', 'CLOSED')", name=op.f("ck_series_state_known")),
        sa.CheckConstraint("verdict IN ('READ', 'DECLINED')", name=op.f("ck_series_verdict_known")),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name=op.f("fk_series_study_id_study")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_series")),
        sa.UniqueConstraint("study_id", "series_uid", name=op.f("uq_series_study_id_series_uid")),
    )
    op.create_index(op.f("ix_series_state"), "series", ["state"], unique=False)
    op.create_table(
        "study_event",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("study_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("kind", sa.String(length=24), nullable=False),
        sa.Column("at_ns", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("outcome", sa.String(length=24), nullable=True),
        sa.CheckConstraint("kind IN ('OPENED', 'CLOSED', 'REOPENED', 'SEEN')", name=op.f("ck_study_event_kind_known")),
        sa.CheckConstraint(
            "outcome IN ('CRITICAL', 'REVIEW', 'NO FINDING', 'INDETERMINATE', 'INCOMPLETE', 'NOT ANALYSED')",
            name=op.f("ck_study_event_outcome_known"),
        ),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name=op.f("fk_study_event_study_id_study")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_study_event")),
    )
    op.create_index(op.f("ix_study_event_study_id"), "study_event", ["study_id"], unique=False)
    op.create_table(
        "reading",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("series_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("finality", sa.String(length=24), nullable=False),
        sa.Column("p_any", sa.Double(), nullable=True),
        sa.Column("p_edh", sa.Double(), nullable=True),
        sa.Column("p_iph", sa.Double(), nullable=True),
        sa.Column("p_ivh", sa.Double(), nullable=True),
        sa.Column("p_sah", sa.Double(), nullable=True),
        sa.Column("p_sdh", sa.Double(), nullable=True),
        sa.Column("outcome", sa.String(length=24), nullable=False),
        sa.Column("reasons", sa.JSON(), nullable=False),
        sa.Column("slices", sa.Integer(), nullable=False),
        sa.Column("finding", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("engine_sha256", sa.String(length=64), nullable=False),
        sa.Column("engine_name", sa.Text(), nullable=False),
        sa.Column("backend", sa.Text(), nullable=False),
        sa.Column("critical_point", sa.Double(), nullable=False),
        sa.Column("review_point", sa.Double(), nullable=False),
        sa.Column("made_ns", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("finality IN ('PROVISIONAL', 'FINAL')", name=op.f("ck_reading_finality_known")),
        sa.CheckConstraint(
            "outcome IN ('CRITICAL', 'REVIEW', 'NO FINDING', 'INDETERMINATE', 'INCOMPLETE', 'NOT ANALYSED')",
            name=op.f("ck_reading_outcome_known"),
        ),
        sa.CheckConstraint("revision >= 1", name=op.f("ck_reading_revision_counted")),
        sa.ForeignKeyConstraint(["series_id"], ["series.id"], name=op.f("fk_reading_series_id_series")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reading")),
    )
    op.create_index(op.f("ix_reading_series_id"), "reading", ["series_id"], unique=False)
    op.create_table(
        "slice",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("series_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("sop_uid", sa.Text(), nullable=False),
        sa.Column("pixel_sha256", sa.String(length=64), nullable=False),
        sa.Column("file_sha256", sa.String(length=64), nullable=False),
        sa.Column("stored", sa.Text(), nullable=False),
        sa.Column("position_mm", sa.Double(), nullable=False),
        sa.Column("geometry", sa.JSON(), nullable=False),
        sa.Column("instance_number", sa.BigInteger(), nullable=True),
        sa.Column("acquisition_number", sa.BigInteger(), nullable=True),
        sa.Column("acquired", sa.Text(), nullable=False),
        sa.Column("corrections", sa.JSON(), nullable=False),
        sa.Column("landed_ns", sa.BigInteger(), nullable=False),
        sa.Column("ms", sa.JSON(), nullable=False),
        sa.Column("p_any", sa.Double(), nullable=True),
        sa.Column("p_edh", sa.Double(), nullable=True),
        sa.Column("p_iph", sa.Double(), nullable=True),
        sa.Column("p_ivh", sa.Double(), nullable=True),
        sa.Column("p_sah", sa.Double(), nullable=True),
        sa.Column("p_sdh", sa.Double(), nullable=True),
        sa.Column("logits", sa.LargeBinary(), nullable=True),
        sa.Column("embedding", sa.LargeBinary(), nullable=True),
        sa.Column("heat", sa.LargeBinary(), nullable=True),
        sa.Column("seen", sa.JSON(none_as_null=True), nullable=True),
        sa.CheckConstraint(
            "(logits IS NULL) = (heat IS NULL) AND (logits IS NULL) = (p_any IS NULL)",
            name=op.f("ck_slice_scored_whole"),
        ),
        sa.ForeignKeyConstraint(["series_id"], ["series.id"], name=op.f("fk_slice_series_id_series")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_slice")),
        sa.UniqueConstraint(
            "series_id", "sop_uid", "pixel_sha256", name=op.f("uq_slice_series_id_sop_uid_pixel_sha256")
        ),
    )
    op.create_index(op.f("ix_slice_sop_uid"), "slice", ["sop_uid"], unique=False)
    op.create_table(
        "alert",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("kind", sa.String(length=24), nullable=False),
        sa.Column("first", sa.Text(), nullable=False),
        sa.Column("second", sa.Text(), nullable=False),
        sa.Column("third", sa.Text(), nullable=False),
        sa.Column("level", sa.String(length=24), nullable=False),
        sa.Column("study_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("series_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("reading_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(length=24), nullable=False),
        sa.Column("finality", sa.String(length=24), nullable=False),
        sa.Column("raised_ns", sa.BigInteger(), nullable=False),
        sa.Column("changed_ns", sa.BigInteger(), nullable=False),
        sa.Column("sounded_ns", sa.BigInteger(), nullable=True),
        sa.Column("open", sa.Boolean(), nullable=False),
        sa.Column("sounds", sa.Boolean(), nullable=False),
        sa.Column("withdrawn", sa.Boolean(), nullable=False),
        sa.Column("doubted", sa.Boolean(), nullable=False),
        sa.Column("ended", sa.Boolean(), nullable=False),
        sa.Column("acknowledged_by", sa.Text(), nullable=False),
        sa.Column("acknowledged_ns", sa.BigInteger(), nullable=True),
        sa.Column("judged", sa.String(length=24), nullable=True),
        sa.Column("sounding_event_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("last_event_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.CheckConstraint("finality IN ('PROVISIONAL', 'FINAL')", name=op.f("ck_alert_finality_known")),
        sa.CheckConstraint("judged IN ('confirmed', 'refuted', 'unclear')", name=op.f("ck_alert_judged_known")),
        sa.CheckConstraint("kind IN ('clinical', 'technical', 'test')", name=op.f("ck_alert_kind_known")),
        sa.CheckConstraint("level IN ('CRITICAL', 'REVIEW', 'TECHNICAL', 'TEST')", name=op.f("ck_alert_level_known")),
        sa.CheckConstraint(
            "state IN ('SOUNDING', 'SOUNDING_DOUBTED', 'SOUNDING_WITHDRAWN', 'LISTED', 'LISTED_WITHDRAWN', 'SEEN', 'SEEN_DOUBTED', 'SEEN_WITHDRAWN', 'FAULT_UNSEEN', 'FAULT_SEEN', 'TEST_UNSEEN', 'TEST_SEEN', 'MENDED')",
            name=op.f("ck_alert_state_known"),
        ),
        sa.ForeignKeyConstraint(["reading_id"], ["reading.id"], name=op.f("fk_alert_reading_id_reading")),
        sa.ForeignKeyConstraint(["series_id"], ["series.id"], name=op.f("fk_alert_series_id_series")),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name=op.f("fk_alert_study_id_study")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert")),
    )
    op.create_index(op.f("ix_alert_open"), "alert", ["open"], unique=False)
    op.create_index(op.f("ix_alert_study_id"), "alert", ["study_id"], unique=False)
    op.create_index(
        "uq_alert_key",
        "alert",
        ["kind", "first", "second", "third"],
        unique=True,
        sqlite_where=sa.text("NOT ended"),
        postgresql_where=sa.text("NOT ended"),
    )
    op.create_table(
        "alert_event",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("alert_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("kind", sa.String(length=24), nullable=False),
        sa.Column("at_ns", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("level", sa.String(length=24), nullable=True),
        sa.Column("finality", sa.String(length=24), nullable=True),
        sa.Column("new_acquisition", sa.Boolean(), nullable=False),
        sa.Column("sounds", sa.Boolean(), nullable=False),
        sa.Column("judged", sa.String(length=24), nullable=True),
        sa.Column("reading_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.CheckConstraint("finality IN ('PROVISIONAL', 'FINAL')", name=op.f("ck_alert_event_finality_known")),
        sa.CheckConstraint("judged IN ('confirmed', 'refuted', 'unclear')", name=op.f("ck_alert_event_judged_known")),
        sa.CheckConstraint(
            "kind IN ('RAISED', 'UPGRADED', 'DOUBTED', 'WITHDRAWN', 'DELIVERED', 'FAILED', 'ESCALATED', 'ACKNOWLEDGED', 'JUDGED', 'MENDED')",
            name=op.f("ck_alert_event_kind_known"),
        ),
        sa.CheckConstraint(
            "level IN ('CRITICAL', 'REVIEW', 'TECHNICAL', 'TEST')", name=op.f("ck_alert_event_level_known")
        ),
        sa.ForeignKeyConstraint(["alert_id"], ["alert.id"], name=op.f("fk_alert_event_alert_id_alert")),
        sa.ForeignKeyConstraint(["reading_id"], ["reading.id"], name=op.f("fk_alert_event_reading_id_reading")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert_event")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_alert_event_alert_id"), "alert_event", ["alert_id"], unique=False)
    op.create_table(
        "delivery",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("alert_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("event_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("idempotency_key", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=24), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.Column("due_ns", sa.BigInteger(), nullable=False),
        sa.Column("ended_ns", sa.BigInteger(), nullable=True),
        sa.Column("last_status", sa.Integer(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=False),
        sa.CheckConstraint("(state = 'DUE') = (ended_ns IS NULL)", name=op.f("ck_delivery_ended_with_time")),
        sa.CheckConstraint("state IN ('DUE', 'DONE', 'DEAD')", name=op.f("ck_delivery_state_known")),
        sa.ForeignKeyConstraint(["alert_id"], ["alert.id"], name=op.f("fk_delivery_alert_id_alert")),
        sa.ForeignKeyConstraint(["event_id"], ["alert_event.id"], name=op.f("fk_delivery_event_id_alert_event")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_delivery")),
        sa.UniqueConstraint("event_id", "channel", name=op.f("uq_delivery_event_id_channel")),
        sa.UniqueConstraint("idempotency_key", name=op.f("uq_delivery_idempotency_key")),
    )
    op.create_index(op.f("ix_delivery_state_due_ns"), "delivery", ["state", "due_ns"], unique=False)
