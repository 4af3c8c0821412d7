"""Decisions that did not act, what was learned of members, and which router is in charge."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("decisions", sa.Column("beside", sa.JSON(), nullable=False, server_default="[]"))
    op.create_index("ix_outcomes_scored_at", "outcomes", ["scored_at"])
    op.create_table(
        "lessons",
        sa.Column("learner", sa.String(), nullable=False),
        sa.Column("outcome_key", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["outcome_key"], ["outcomes.key"], name="fk_lessons_outcome_key", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("learner", "outcome_key", name="pk_lessons"),
    )
    op.create_table(
        "beliefs",
        sa.Column("learner", sa.String(), nullable=False),
        sa.Column("content_name", sa.String(), nullable=False),
        sa.Column("features", sa.JSON(), nullable=False),
        sa.Column("evidence", sa.LargeBinary(), nullable=False),
        sa.Column("moment", sa.LargeBinary(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("learner", "content_name", name="pk_beliefs"),
    )
    op.create_table(
        "router_versions",
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("added_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_router_versions"),
    )
    op.create_table(
        "promotions",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(), nullable=True),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("promoted_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["digest"], ["router_versions.digest"], name="fk_promotions_digest"),
        sa.PrimaryKeyConstraint("number", name="pk_promotions"),
    )


def downgrade() -> None:
    for table in ("promotions", "router_versions", "beliefs", "lessons"):
        op.drop_table(table)
    op.drop_index("ix_outcomes_scored_at", "outcomes")
    with op.batch_alter_table("decisions") as decisions:
        decisions.drop_column("beside")
