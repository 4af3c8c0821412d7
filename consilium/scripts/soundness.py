"""What is checked before a script is played: everything that can be known without paying for a turn."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from consilium.errors import BadPersona, BadRows, UnknownMember
from consilium.members.catalogue import Catalogue
from consilium.scripts.expectation import Expectation
from consilium.scripts.script_file import MAX_TURNS, TurnScript
from consilium.scripts.source import Place
from consilium.scripts.steps import count_steps
from consilium.scripts.template import names_in

if TYPE_CHECKING:
    from consilium.scripts.script import Script


def check_script(script: "Script") -> None:
    """Raise `BadScript` where the script contradicts itself; the message names the line."""
    if taken := script.variables.keys() & {"round", "verdict"}:
        raise script.source.fault(("variables", min(taken)), "this name has a value of its own. Choose another name.")
    _check_loops(script)
    _check_count(script)
    _Texts(script).check()
    _check_order(script)
    for place, expected in expectations(script):
        _check_metrics(script, place, expected)


def check_members(script: "Script", catalogue: Catalogue) -> None:
    """Raise `BadScript` where the script names somebody who is not in the catalogue, or leaves nobody to sit."""
    from consilium.scripts.cast import Casting

    for place, name in _named(script):
        try:
            catalogue.get(script.member(name))
        except UnknownMember as error:
            raise script.source.fault(place, str(error)) from error
    for number, group in enumerate(script.file.cast.groups):
        if group not in catalogue.groups:
            known = ", ".join(catalogue.groups)
            raise script.source.fault(("cast", "groups", number), f"no group is called {group!r}. There are: {known}.")
    Casting.of(script, catalogue).check()


def expectations(script: "Script") -> Iterator[tuple[Place, Expectation]]:
    """Yield every expectation with its place."""
    for place, turn in script.file.all_turns():
        if turn.expect:
            yield (*place, "expect"), turn.expect
    if script.file.expect:
        yield ("expect",), script.file.expect


def _check_loops(script: "Script") -> None:
    for place, turn in script.file.all_turns():
        if turn.for_each and turn.for_each not in script.rows:
            known = ", ".join(script.rows) or "none"
            raise script.source.fault((*place, "for_each"), f"there are no rows {turn.for_each!r}, but {known}.")
        if turn.for_each and not script.rows[turn.for_each]:
            raise script.source.fault((*place, "for_each"), f"the rows {turn.for_each!r} are empty. Give it some.")


def _check_count(script: "Script") -> None:
    """Raise at the first turn that is one too many."""

    def walk(turns: Sequence[TurnScript], place: Place, before: int, times: int) -> int:
        for number, turn in enumerate(turns):
            count = times * count_steps(script, turn)
            if before + count > MAX_TURNS:
                raise script.source.fault(
                    (*place, number),
                    f"with it the script has {before + count:,} turns or more; at most {MAX_TURNS:,} are played. "
                    "Shorten it, or run the rows as a batch job.",
                )
            before += count
        return before

    walk(script.file.turns, ("turns",), 0, 1)


class _Texts:
    """Checks that every name in braces has a value when its turn comes."""

    def __init__(self, script: "Script") -> None:
        self._script = script
        self._said: set[str] = set()
        self._any = False

    def check(self) -> None:
        self._turns(self._script.file.turns, ("turns",), columns=None, in_loop=False)
        if self._script.file.expect:
            self._expectation(self._script.file.expect, ("expect",), None, in_loop=False)

    def _turns(
        self, turns: Sequence[TurnScript], place: Place, columns: frozenset[str] | None, *, in_loop: bool
    ) -> None:
        for number, turn in enumerate(turns):
            here = (*place, number)
            looping = in_loop or bool(turn.for_each or turn.repeat)
            mine = columns
            if turn.for_each:
                mine = frozenset.intersection(*(frozenset(row) for row in self._script.rows[turn.for_each]))
            if turn.turns:
                self._turns(turn.turns, (*here, "turns"), mine, in_loop=looping)
                continue
            if turn.say:
                self._text(turn.say, (*here, "say"), mine, in_loop=looping)
            if turn.played_by:
                self._text(turn.cue or "{verdict}", (*here, "cue" if turn.cue else "played_by"), mine, in_loop=looping)
            self._any = True
            self._said.update([turn.id] if turn.id else [])
            if turn.expect:
                self._expectation(turn.expect, (*here, "expect"), mine, in_loop=looping)

    def _expectation(
        self, expected: Expectation, place: Place, columns: frozenset[str] | None, *, in_loop: bool
    ) -> None:
        for field, text in _templates(expected):
            self._text(text, (*place, *field), columns, in_loop=in_loop)

    def _text(self, text: str, place: Place, columns: frozenset[str] | None, *, in_loop: bool) -> None:
        for name in names_in(text):
            if (why := self._missing(name, columns, in_loop=in_loop)) is not None:
                raise self._script.source.fault(
                    place, f"{{{name}}} {why}. Write {{{{{name}}}}} where the braces themselves are meant."
                )

    def _missing(self, name: str, columns: frozenset[str] | None, *, in_loop: bool) -> str | None:
        first, _, rest = name.partition(".")
        if name in self._script.variables or (name == "round" and in_loop):
            return None
        if name == "verdict":
            return None if self._any else "is the verdict of the turn before, and there is none"
        if first == "verdicts":
            return None if rest in self._said else f"is the verdict of a turn {rest!r}, and none before it has that id"
        if first == "row" and columns is None:
            return "stands outside of a loop over rows"
        if first == "row" and columns is not None:
            return None if rest in columns else f"is no column that all rows have: {', '.join(sorted(columns))}"
        return "is neither a variable nor round, verdict, verdicts.ID or row.COLUMN"


def _templates(expected: Expectation) -> Iterator[tuple[Place, str]]:
    if expected.equals is not None:
        yield ("equals",), expected.equals
    if expected.number and isinstance(expected.number.near, str):
        yield ("number", "near"), expected.number.near
    for number, measured in enumerate(expected.metrics):
        for place, reference in enumerate(measured.references):
            yield ("metrics", number, "references", place), reference
    for number, judged in enumerate(expected.judged):
        yield ("judged", number, "question"), judged.question


def _check_order(script: "Script") -> None:
    """Raise where the fixed order has not one name for each turn that needs one, or breaks the may-follow table."""
    speakers = script.file.speakers
    if speakers.policy != "order":
        return
    needed = sum(not step.turn.members for step in script.steps())
    if needed != len(speakers.order):
        raise script.source.fault(
            ("speakers", "order"), f"has {len(speakers.order)} names, and {needed} turns need one. Make it as long."
        )
    follows = {script.member(name): {script.member(n) for n in then} for name, then in speakers.may_follow.items()}
    order = [script.member(name) for name in speakers.order]
    for number, (before, after) in enumerate(pairwise(order), start=1):
        if after not in follows.get(before, {after}):
            raise script.source.fault(
                ("speakers", "order", number), f"{after!r} may not follow {before!r} by may_follow. Change one of them."
            )


def _check_metrics(script: "Script", place: Place, expected: Expectation) -> None:
    """Raise where a metric does not exist or cannot score on its references, or its package is not installed."""
    from consilium.scripts.checking import METRICS, scored

    for number, measured in enumerate(expected.metrics):
        here = (*place, "metrics", number)
        if measured.name not in METRICS:
            raise script.source.fault(
                (*here, "name"), f"no metric is called {measured.name!r}. There are: {', '.join(sorted(METRICS))}."
            )
        if any(names_in(reference) for reference in measured.references):
            continue
        try:
            scored(measured.name, "a", "a", measured.references)
        except (BadRows, BadPersona) as error:
            raise script.source.fault((*here, "references"), str(error)) from error


def _named(script: "Script") -> Iterator[tuple[Place, str]]:
    """Yield every place where a member or role is named."""
    cast, speakers = script.file.cast, script.file.speakers
    for field in ("members", "pinned", "mute"):
        yield from ((("cast", field, number), name) for number, name in enumerate(getattr(cast, field)))
    yield from ((("cast", "roles", role), member) for role, member in cast.roles.items())
    yield from ((("speakers", "order", number), name) for number, name in enumerate(speakers.order))
    yield from ((("speakers", "talkativeness", name), name) for name in speakers.talkativeness)
    for before, then in speakers.may_follow.items():
        yield ("speakers", "may_follow", before), before
        yield from ((("speakers", "may_follow", before, number), name) for number, name in enumerate(then))
    for place, turn in script.file.all_turns():
        if turn.played_by:
            yield (*place, "played_by"), turn.played_by
        yield from (((*place, "members", number), name) for number, name in enumerate(turn.members))
    for place, expected in expectations(script):
        for field in ("sits", "absent"):
            yield from (((*place, field, number), name) for number, name in enumerate(getattr(expected, field)))
        for number, judged in enumerate(expected.judged):
            if judged.by:
                yield (*place, "judged", number, "by"), judged.by
