"""A study without an alert can be judged, a press names its screen; and what the courier and the board ask stays cheap."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

KINDS = "'OPENED', 'CLOSED', 'REOPENED', 'SEEN', 'JUDGED'"
WORDS = "'bleed', 'no-bleed', 'unclear'"


def upgrade() -> None:
    """Adds what people say of a study, and three indexes."""
    with op.batch_alter_table("study") as study:
        study.add_column(sa.Column("judged", sa.String(length=24), nullable=True))
        study.create_check_constraint(op.f("ck_study_judged_known"), f"judged IN ({WORDS})")
        study.create_index(op.f("ix_study_judged"), ["judged"], unique=False)
    with op.batch_alter_table("study_event") as study_event:
        study_event.add_column(sa.Column("judged", sa.String(length=24), nullable=True))
        study_event.add_column(sa.Column("details", sa.JSON(), nullable=False, server_default="{}"))
        study_event.drop_constraint(op.f("ck_study_event_kind_known"), type_="check")
        study_event.create_check_constraint(op.f("ck_study_event_kind_known"), f"kind IN ({KINDS})")
        study_event.create_check_constraint(op.f("ck_study_event_judged_known"), f"judged IN ({WORDS})")
    with op.batch_alter_table("study_event") as study_event:
        study_event.alter_column("details", server_default=None)
    op.create_index(op.f("ix_alert_event_alert_id_kind_by"), "alert_event", ["alert_id", "kind", "by"], unique=False)
    op.create_index(op.f("ix_delivery_channel"), "delivery", ["channel"], unique=False)
