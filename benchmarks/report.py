"""How long reports over a ledger of many seats take. Prints seconds by report.

python benchmarks/report.py [seats]
"""

import json
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection, insert

from consilium.learning.reports import REPORTS
from consilium.learning.transactions import transact
from consilium.ledger.orm import (
    DecisionRow,
    MemberRow,
    OutcomeRow,
    SeatRow,
    SessionRow,
    StatementRow,
    TurnRow,
    VerdictRow,
)

SEATS = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
PER_TURN, MEMBERS, CHUNK = 3, 15, 20_000
NAMES = [f"member{number}" for number in range(MEMBERS)]
START = datetime(2026, 1, 1, tzinfo=UTC)
SCORES = dict.fromkeys(NAMES, 1 / MEMBERS)


def fill(connection: Connection) -> None:
    """Write so many seats, with all that belongs to them; one turn of ten has an outcome."""
    members = [{"content_name": n, "name": n, "group": "g", "adapter_digest": None, "base": "b@0"} for n in NAMES]
    connection.execute(insert(MemberRow), members)
    connection.execute(insert(SessionRow), [{"id": "s", "opened_at": START}])
    for first in range(0, SEATS // PER_TURN, CHUNK):
        numbers = range(first, min(first + CHUNK, SEATS // PER_TURN))
        seats = [(f"{n:032x}", s, NAMES[(n * 7 + s * 3) % MEMBERS]) for n in numbers for s in range(PER_TURN)]
        connection.execute(insert(TurnRow), [
            {"id": f"{n:032x}", "session_id": "s", "number": n, "message": "why", "options": {}, "status": "concluded",
             "admitted_at": START + timedelta(seconds=n * 20), "closed_at": START, "player": None, "tries": 1}
            for n in numbers
        ])  # fmt: skip
        connection.execute(insert(DecisionRow), [
            {"turn_id": f"{n:032x}", "router": "r", "router_digest": "0" * 64, "scores": SCORES, "propensities": SCORES,
             "abstained": False, "exploration": 0.0, "beside": []}
            for n in numbers
        ])  # fmt: skip
        connection.execute(insert(SeatRow), [
            {"turn_id": t, "number": s, "member": m, "content_name": m, "role": "speaker", "weight": 1 / PER_TURN}
            for t, s, m in seats
        ])  # fmt: skip
        connection.execute(insert(StatementRow), [
            {"turn_id": t, "seat": s, "attempt": 1, "text": "because", "error": None, "error_message": None,
             "finish": "stop", "prompt_tokens": 40, "completion_tokens": 20, "first_token_ms": 30.0,
             "latency_ms": 300.0, "engine": "scripted", "prompt_digest": None}
            for t, s, _ in seats
        ])  # fmt: skip
        connection.execute(insert(VerdictRow), [
            {"turn_id": f"{n:032x}", "text": "because", "method": "best", "source_seat": n % PER_TURN,
             "agreement": 0.5, "dissent": []}
            for n in numbers
        ])  # fmt: skip
        connection.execute(insert(OutcomeRow), [
            {"key": f"k{n}", "turn_id": f"{n:032x}", "seat": None, "score": n % 3 / 2, "source": "metric",
             "weight": 1.0, "scored_at": START + timedelta(seconds=n * 20)}
            for n in numbers if n % 10 == 0
        ])  # fmt: skip


with tempfile.TemporaryDirectory() as folder:
    url = f"sqlite:///{Path(folder) / 'ledger.db'}"
    transact(url, fill, writes=True)
    seconds = {}
    for name, make in REPORTS.items():
        started = time.perf_counter()
        transact(url, make)
        seconds[name] = round(time.perf_counter() - started, 2)
    print(json.dumps({"seats": SEATS, "report_s": seconds}))
