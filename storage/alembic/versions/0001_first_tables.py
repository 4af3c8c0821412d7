"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "adapters",
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("base", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_adapters"),
    )
    op.create_table(
        "sessions",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_sessions"),
    )
    op.create_table(
        "members",
        sa.Column("content_name", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("group", sa.String(), nullable=False),
        sa.Column("adapter_digest", sa.String(), nullable=True),
        sa.Column("base", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["adapter_digest"], ["adapters.digest"], name="fk_members_adapter_digest"),
        sa.PrimaryKeyConstraint("content_name", name="pk_members"),
    )
    op.create_index("ix_members_name", "members", ["name"])

    op.create_table(
        "turns",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("session_id", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("message", sa.String(), nullable=False),
        sa.Column("options", sa.JSON(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("admitted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("status IN ('open', 'concluded', 'failed')", name=op.f("ck_turns_status")),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.id"], name="fk_turns_session_id"),
        sa.PrimaryKeyConstraint("id", name="pk_turns"),
        sa.UniqueConstraint("session_id", "number", name="uq_turns_session_id_number"),
    )
    op.create_index("ix_turns_admitted_at", "turns", ["admitted_at"])
    op.create_index("ix_turns_status", "turns", ["status"])

    op.create_table(
        "decisions",
        sa.Column("turn_id", sa.String(), nullable=False),
        sa.Column("router", sa.String(), nullable=False),
        sa.Column("router_digest", sa.String(), nullable=False),
        sa.Column("scores", sa.JSON(), nullable=False),
        sa.Column("propensities", sa.JSON(), nullable=False),
        sa.Column("abstained", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["turn_id"], ["turns.id"], name="fk_decisions_turn_id"),
        sa.PrimaryKeyConstraint("turn_id", name="pk_decisions"),
    )
    op.create_table(
        "seats",
        sa.Column("turn_id", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("member", sa.String(), nullable=False),
        sa.Column("content_name", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("weight", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["content_name"], ["members.content_name"], name="fk_seats_content_name"),
        sa.ForeignKeyConstraint(["turn_id"], ["turns.id"], name="fk_seats_turn_id"),
        sa.PrimaryKeyConstraint("turn_id", "number", name="pk_seats"),
    )
    op.create_index("ix_seats_content_name", "seats", ["content_name"])

    op.create_table(
        "outcomes",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("turn_id", sa.String(), nullable=False),
        sa.Column("seat", sa.Integer(), nullable=True),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("scored_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("score >= 0 AND score <= 1", name=op.f("ck_outcomes_score")),
        sa.ForeignKeyConstraint(
            ["turn_id", "seat"], ["seats.turn_id", "seats.number"], name="fk_outcomes_turn_id_seat"
        ),
        sa.ForeignKeyConstraint(["turn_id"], ["turns.id"], name="fk_outcomes_turn_id"),
        sa.PrimaryKeyConstraint("key", name="pk_outcomes"),
    )
    op.create_index("ix_outcomes_turn_id", "outcomes", ["turn_id"])

    op.create_table(
        "statements",
        sa.Column("turn_id", sa.String(), nullable=False),
        sa.Column("seat", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("error", sa.String(), nullable=True),
        sa.Column("error_message", sa.String(), nullable=True),
        sa.Column("finish", sa.String(), nullable=False),
        sa.Column("prompt_tokens", sa.Integer(), nullable=False),
        sa.Column("completion_tokens", sa.Integer(), nullable=False),
        sa.Column("first_token_ms", sa.Double(), nullable=False),
        sa.Column("latency_ms", sa.Double(), nullable=False),
        sa.Column("engine", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["turn_id", "seat"], ["seats.turn_id", "seats.number"], name="fk_statements_turn_id_seat"
        ),
        sa.PrimaryKeyConstraint("turn_id", "seat", "attempt", name="pk_statements"),
    )
    op.create_table(
        "verdicts",
        sa.Column("turn_id", sa.String(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("method", sa.String(), nullable=False),
        sa.Column("source_seat", sa.Integer(), nullable=False),
        sa.Column("agreement", sa.Double(), nullable=False),
        sa.Column("dissent", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["turn_id", "source_seat"], ["seats.turn_id", "seats.number"], name="fk_verdicts_turn_id_source_seat"
        ),
        sa.ForeignKeyConstraint(["turn_id"], ["turns.id"], name="fk_verdicts_turn_id"),
        sa.PrimaryKeyConstraint("turn_id", name="pk_verdicts"),
    )


def downgrade() -> None:
    op.drop_table("verdicts")
    op.drop_table("statements")
    op.drop_index("ix_outcomes_turn_id", "outcomes")

    op.drop_table("outcomes")
    op.drop_index("ix_seats_content_name", "seats")

    op.drop_table("seats")
    op.drop_table("decisions")
    op.drop_index("ix_turns_status", "turns")
    op.drop_index("ix_turns_admitted_at", "turns")

    op.drop_table("turns")
    op.drop_index("ix_members_name", "members")

    op.drop_table("members")
    op.drop_table("sessions")
    op.drop_table("adapters")
