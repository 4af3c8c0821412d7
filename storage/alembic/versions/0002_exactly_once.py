"""Who plays a turn, interruptions, prompt digests, exploration, and the weight of an outcome."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

STATUSES = "status IN ('open', 'interrupted', 'concluded', 'failed')"
STATUSES_BEFORE = "status IN ('open', 'concluded', 'failed')"


def upgrade() -> None:
    with op.batch_alter_table("turns") as turns:
        turns.add_column(sa.Column("player", sa.String(), nullable=True))
        turns.add_column(sa.Column("tries", sa.Integer(), nullable=False, server_default="1"))
        turns.drop_constraint(op.f("ck_turns_status"), type_="check")
        turns.create_check_constraint(op.f("ck_turns_status"), STATUSES)
        turns.drop_index("ix_turns_admitted_at")
        turns.create_index("ix_turns_admitted_at_id", ["admitted_at", "id"])
    with op.batch_alter_table("decisions") as decisions:
        decisions.add_column(sa.Column("exploration", sa.Double(), nullable=False, server_default="0"))
    with op.batch_alter_table("statements") as statements:
        statements.add_column(sa.Column("prompt_digest", sa.String(), nullable=True))
    with op.batch_alter_table("outcomes") as outcomes:
        outcomes.add_column(sa.Column("weight", sa.Double(), nullable=False, server_default="1"))
        outcomes.create_check_constraint(op.f("ck_outcomes_weight"), "weight > 0 AND weight <= 1e9")


def downgrade() -> None:
    with op.batch_alter_table("outcomes") as outcomes:
        outcomes.drop_constraint(op.f("ck_outcomes_weight"), type_="check")
        outcomes.drop_column("weight")
    with op.batch_alter_table("statements") as statements:
        statements.drop_column("prompt_digest")
    with op.batch_alter_table("decisions") as decisions:
        decisions.drop_column("exploration")
    op.execute("UPDATE turns SET status = 'open' WHERE status = 'interrupted'")
    with op.batch_alter_table("turns") as turns:
        turns.drop_index("ix_turns_admitted_at_id")
        turns.create_index("ix_turns_admitted_at", ["admitted_at"])
        turns.drop_constraint(op.f("ck_turns_status"), type_="check")
        turns.create_check_constraint(op.f("ck_turns_status"), STATUSES_BEFORE)
        turns.drop_column("tries")
        turns.drop_column("player")
