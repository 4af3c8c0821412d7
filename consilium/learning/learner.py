"""The learner: from outcomes to beliefs, and from beliefs to other seats than the static router's.

Thompson sampling (Agrawal and Goyal, arXiv 1209.3352) on top of the static router, whose score is ``x_m``::

    u_m = level x_m + g (mean_m + h deviation_m z),    z ~ N(0, 1)
    g = n / (n + patience),    h = g (usual_s - mean_s) / (level x_s + g usual_s), in [0, 1]

``n`` is how many outcomes there are of requests like this one (`consilium.learning.beliefs`): without evidence the
static router decides alone. ``h`` is how far its own first choice ``s`` falls short of what it is used to earn: chance
goes only as far as there is something to be mended. A member that never earned much, at work that is hard, is no reason
to look for another; whether the router was wrong from the start is found by exploration that is set. All seats but the
last go by the mean (z = 0), as `Selection` gives them out; the last one is drawn. Its propensities are the shares of
`DRAWS` draws that each member wins, of which one is then taken, so that they are exact. The static router's own first
choice keeps a chance of `KEPT`, so that it can always be judged.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from consilium.learning.beliefs import Belief, Floats, Foresight, Prior, foresee
from consilium.learning.credit import credits
from consilium.ledger.entries import BesideEntry, DecisionEntry, TurnLog
from consilium.members.catalogue import Catalogue
from consilium.routing.protocol import Decision, Request, shares
from consilium.routing.selection import Selection, affordable

DRAWS = 500
KEPT = 0.03
"""Chance that the last seat goes to the static router's first choice whatever was learned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What one outcome says of one member."""

    outcome: str
    """Its key."""
    content_name: str
    member: str
    features: Floats
    """The static router's scores, [members]."""
    score: float
    weight: float

    def kept_under(self, prior: Prior) -> dict[str, float]:
        """Return which beliefs it changes, with the memory of each."""
        return {self.content_name: prior.memory, history_of(self.member): prior.long_memory}


@dataclass(frozen=True, slots=True, kw_only=True)
class Learner:
    """Seats members by the static router's decision and by what is believed of them."""

    catalogue: Catalogue
    prior: Prior = field(default_factory=Prior)
    patience: float = 4.0
    """Outcomes of requests alike after which evidence counts half."""
    selection: Selection = field(default_factory=Selection)
    """How scores become seats; its exploration is spread over all who could sit."""

    credit: Literal["ballots", "likelihood"] = "ballots"
    """How outcomes are shared among seats; beliefs that came of the one are not mixed with those of the other."""

    def name(self, static_digest: str) -> str:
        """Return what its beliefs are kept under: they are of one static router's scores."""
        return hashlib.sha256(f"{static_digest}\0{self.prior}\0{self.credit}".encode()).hexdigest()

    def observations(
        self, log: TurnLog, static_digest: str, carried: Mapping[int, float] | None = None
    ) -> list[Observation]:
        """Return what the turn's outcomes say; nothing where the static router's scores are not on record.

        Args:
            log: the turn.
            static_digest: of the static router.
            carried: as `credits` takes it.
        """
        scores = _scores_of(log.decision, static_digest)
        if scores is None:
            return []
        row = np.array([scores.get(name, 0.0) for name in self.catalogue.members])
        return [
            Observation(
                outcome=credit.outcome,
                content_name=credit.content_name,
                member=credit.member,
                features=row,
                score=credit.score,
                weight=credit.weight,
            )
            for credit in credits(log, carried)
            if credit.member in self.catalogue.members
        ]

    def decide(self, static: Decision, request: Request, beliefs: Mapping[str, Belief], digest: str) -> Decision:
        """Return the decision; the static router's own where nobody fitted or there is no evidence.

        Args:
            static: what the static router answered.
            request: whose limits hold.
            beliefs: by what `Observation.kept_under` says; members without one were never seen.
            digest: of the whole, which the decision carries and chance depends on.
        """
        names = list(self.catalogue.members)
        row = np.array([static.scores[name] for name in names])
        unknown = Belief.none(len(names))
        known = {name: known_of(self.catalogue.get(name).content_name, beliefs) or unknown for name in names}
        histories = {name: beliefs.get(history_of(name), unknown) for name in names}
        foresight = foresee(known, row, self.prior, histories)
        trust = foresight.evidence / (foresight.evidence + self.patience)
        named = f"adaptive {static.router}"
        if static.abstained or not trust:
            return replace(static, router=named, digest=digest)
        means = (foresight.level * row + trust * foresight.mean).clip(0)
        scores = dict(zip(names, (means / means.sum() if means.sum() else row).tolist(), strict=True))
        sure = replace(self.selection, exploration=0.0)
        decided = sure.decide(scores, request, self.catalogue, router=named, digest=digest)
        return self._drawn(decided, static, request, row, foresight, trust)

    def _drawn(
        self,
        decided: Decision,
        static: Decision,
        request: Request,
        row: Floats,
        foresight: Foresight,
        trust: float,
    ) -> Decision:
        """Leave the last seat to chance."""
        seated = [choice.member for choice in decided.seats]
        free = [name for name in seated if name not in request.must_sit]
        if not free:
            return decided
        last, names = free[-1], list(self.catalogue.members)
        tokens = {name: member.persona.sampling.max_tokens for name, member in self.catalogue.members.items()}
        stay = [name for name in seated if name != last]
        may = [
            name
            for name in names
            if name == last
            or (name not in (*seated, *request.must_not_sit) and affordable((*stay, name), tokens, request))
        ]
        places = [names.index(name) for name in may]
        chance = _chance(self.selection.seed, decided.digest, request)
        first = names.index(static.seats[0].member)
        promised = foresight.level * row[first] + trust * foresight.usual[first]
        short = trust * (foresight.usual[first] - foresight.mean[first])
        mended = min(1.0, max(0.0, short) / promised) if promised > 0 else 1.0
        spread = mended * foresight.deviation[places] * chance.standard_normal((DRAWS, len(may)))
        wins = (foresight.level * row[places] + trust * (foresight.mean[places] + spread)).argmax(-1)
        shares_ = np.bincount(wins, minlength=len(may)) / DRAWS
        shares_ = _mixed(shares_, static.seats[0].member, may, self.selection.exploration)
        drawn = may[int(chance.choice(len(may), p=shares_))]
        chosen = [drawn if name == last else name for name in seated]
        certain = dict.fromkeys(stay, 1.0)
        return replace(
            decided,
            seats=shares(decided.scores, sorted(chosen, key=lambda name: -decided.scores[name])),
            propensities={
                **dict.fromkeys(names, 0.0),
                **dict(zip(may, shares_.tolist(), strict=True)),
                **certain,
            },
            abstained=decided.abstained and drawn == last,
        )


def known_of(content_name: str, beliefs: Mapping[str, Belief]) -> Belief | None:
    """Return the belief about a member with its adapter; where it never sat with that, what is known of the adapter."""
    if content_name in beliefs:
        return beliefs[content_name]
    _, at, digest = content_name.partition("@")
    same = [belief for name, belief in beliefs.items() if at and digest != "*" and name.endswith(at + digest)]
    return max(same, key=lambda belief: belief.count, default=None)


def history_of(member: str) -> str:
    """Return what beliefs about a member are kept under, whatever adapter it sits with."""
    return f"{member}@*"


def after(belief: Belief | None, seen: Observation, prior: Prior, memory: float) -> Belief:
    """Return a belief after one more observation; None is that of a member never seen."""
    belief = belief or Belief.none(len(seen.features))
    return belief.after(seen.features, seen.score, seen.weight, prior, memory=memory)


def _mixed(wins: Floats, static: str, may: Sequence[str], exploration: float) -> Floats:
    """Return the chances of those who may sit: mostly their wins, a little for the static choice and for everybody."""
    kept = KEPT if static in may else 0.0
    chances = (1 - kept) * wins + kept * np.array([name == static for name in may])
    chances = (1 - exploration) * chances + exploration / len(may)
    mixed: Floats = chances / chances.sum()
    return mixed


def _scores_of(decision: DecisionEntry | None, digest: str) -> Mapping[str, float] | None:
    """Return the scores that the router of this digest gave, whether it acted or stood beside."""
    if decision is None:
        return None
    answers: list[DecisionEntry | BesideEntry] = [decision, *decision.beside]
    return next((answer.scores for answer in answers if answer.router_digest == digest), None)


def _chance(seed: int, digest: str, request: Request) -> np.random.Generator:
    """Return a source of chance that draws alike for the same request and the same evidence."""
    text = "\0".join([str(seed), digest, request.message, *request.history])
    return np.random.default_rng(list(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()))
