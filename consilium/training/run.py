"""A training run's folder: what it is a run of, and how long it has taken over all its resumptions."""

import hashlib
import json
import time
from collections.abc import Sequence
from pathlib import Path

from consilium.errors import BadRows
from consilium.members.base import Base
from consilium.members.persona import Recipe
from consilium.training.rows import Lesson

_RUN_FILE = "run.json"


class Run:
    """Keeps ``run.json`` in the folder of a training run, so that only the same run is ever gone on with."""

    def __init__(self, work: Path, recipe: Recipe, lessons: Sequence[Lesson], base: Base, seed: int) -> None:
        self._file = work / _RUN_FILE
        self._fingerprint = _fingerprint(recipe, lessons, base, seed)
        self._before = self._seconds_before(work)
        self._started = time.monotonic()
        work.mkdir(parents=True, exist_ok=True)
        self.save()

    @property
    def seconds(self) -> float:
        """Seconds spent on the run, over all its resumptions."""
        return self._before + time.monotonic() - self._started

    def save(self) -> None:
        """Note the time spent so far."""
        record = {"fingerprint": self._fingerprint, "seconds": round(self.seconds, 1)}
        self._file.write_text(json.dumps(record) + "\n", encoding="utf-8")

    def _seconds_before(self, work: Path) -> float:
        if not self._file.exists():
            if next(work.glob("checkpoint-*"), None) is not None:
                raise BadRows(f"{work} holds checkpoints of an unknown run. Remove it, or name another --work.")
            return 0.0
        record = json.loads(self._file.read_text(encoding="utf-8"))
        if record["fingerprint"] != self._fingerprint:
            raise BadRows(
                f"{work} holds a run with other rows, another recipe, base or seed. Remove it, or name another --work."
            )
        return float(record["seconds"])


def _fingerprint(recipe: Recipe, lessons: Sequence[Lesson], base: Base, seed: int) -> str:
    digest = hashlib.sha256(json.dumps([base.name, recipe.model_dump_json(), seed]).encode())
    for lesson in lessons:
        digest.update(json.dumps([lesson.system_prompt, lesson.row.request, lesson.row.replies[0]]).encode())
    return digest.hexdigest()
