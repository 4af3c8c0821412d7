"""A training run's folder: what it is a run of, and how long it has taken over all its resumptions."""

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from consilium.errors import BadRows
from consilium.members.base import Base
from consilium.members.files import write_whole
from consilium.members.persona import Recipe
from consilium.training.rows import Lesson

_RUN_FILE = "run.json"


class Run:
    """Keeps ``run.json`` in the folder of a training run, so that only the same run is ever gone on with."""

    def __init__(
        self, work: Path, recipe: Recipe, lessons: Sequence[Lesson], dev: Sequence[Lesson], base: Base, seed: int
    ) -> None:
        self._file = work / _RUN_FILE
        self._fingerprint = _fingerprint(recipe, lessons, dev, base, seed)
        self._started = time.monotonic()
        record = self._recorded(work)
        self._before = float(record.get("seconds", 0.0))
        self.finished: Mapping[str, Any] | None = record.get("finished")
        """What came of the run, where it went to its end."""
        work.mkdir(parents=True, exist_ok=True)
        self.save()

    @property
    def seconds(self) -> float:
        """Seconds spent on the run, over all its resumptions."""
        return self._before + time.monotonic() - self._started

    def save(self) -> None:
        """Note the time spent so far."""
        record = {"fingerprint": self._fingerprint, "seconds": round(self.seconds, 1), "finished": self.finished}
        write_whole(self._file, (json.dumps(record) + "\n").encode())

    def finish(self, figures: Mapping[str, Any]) -> Mapping[str, Any]:
        """Note and return what came of the run, and in how many seconds: begun again, it is not trained again."""
        self.finished = {**figures, "seconds": self.seconds}
        self.save()
        return self.finished

    def _recorded(self, work: Path) -> dict[str, Any]:
        """Return what is known of the run; raises `BadRows` where another's traces lie in its folder."""
        if not self._file.exists():
            if next(work.glob("checkpoint-*"), None) is not None:
                raise BadRows(f"{work} holds checkpoints of an unknown run. Remove it, or name another --work.")
            return {}
        try:
            record = dict(json.loads(self._file.read_bytes()))
        except (ValueError, TypeError) as error:
            raise BadRows(f"{self._file} cannot be read: {error}. Remove {work}, or name another --work.") from error
        if record.get("fingerprint") != self._fingerprint:
            raise BadRows(
                f"{work} holds a run with other rows, another recipe, base or seed. Remove it, or name another --work."
            )
        return record


def _fingerprint(recipe: Recipe, lessons: Sequence[Lesson], dev: Sequence[Lesson], base: Base, seed: int) -> str:
    digest = hashlib.sha256(json.dumps([base.name, recipe.model_dump_json(), seed, len(lessons)]).encode())
    for lesson in (*lessons, *dev):
        digest.update(json.dumps([lesson.system_prompt, lesson.row.request, lesson.row.replies[0]]).encode())
    return digest.hexdigest()
