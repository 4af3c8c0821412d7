"""From scores to seats: how many sit, who must and who must not, and when nobody fits."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from consilium.errors import BadSettings
from consilium.members.catalogue import Catalogue
from consilium.routing.protocol import Decision, Request, shares

LEAST_GAIN = 0.05
"""Share of what the fallback is expected to lose by which another must lose less to sit in its place: smaller
differences are noise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Seats the member that is expected to lose least, and each other one whose chance to be right is worth its tokens.

    Scores are read as probabilities, so that they should be calibrated.
    """

    token_price: float = 0.0023
    """Chance of being the right one that a token is worth; a seat of 64 tokens costs 0.15."""
    least_score: float = 0.0
    """Where no member but the fallback is likelier, nobody fits, and the fallback sits alone."""
    least_gain: float = LEAST_GAIN
    exploration: float = 0.0
    """Probability with which the last seat goes to a member drawn from those that would not sit."""
    seed: int = 0

    def decide(
        self,
        scores: Mapping[str, float],
        request: Request,
        catalogue: Catalogue,
        *,
        router: str,
        digest: str,
        regrets: Mapping[str, float] | None = None,
        nobody_fits: bool = False,
    ) -> Decision:
        """Choose from the scores of all members.

        Args:
            scores: a probability for each member.
            request: whose limits hold.
            catalogue: what a seat may speak, and who sits where nobody fits.
            router: name of the router that the scores are of.
            digest: its digest.
            regrets: what seating each member is expected to lose. The first seat goes where that is least, and counts
                as much as the likeliest would. Without them every mistake is alike, and it goes to the likeliest.
            nobody_fits: what the router knows beyond the scores.

        Raises:
            UnknownMember: the request names a member that the catalogue does not hold.
            BadSettings: what the request limits leaves nobody, or contradicts itself.
        """
        _check(request, catalogue)
        allowed = [name for name in scores if name not in request.must_not_sit]
        trusted = dict(scores)
        if regrets is not None:
            first = min(allowed, key=lambda name: (regrets[name], -scores[name]))
            if catalogue.fallback in allowed:
                enough = (1 - self.least_gain) * regrets[catalogue.fallback]
                first = first if regrets[first] <= enough else catalogue.fallback
            trusted[first] = max(scores[name] for name in allowed)
            allowed = [first, *(name for name in allowed if name != first)]
        ranked = sorted(allowed, key=lambda name: -trusted[name])
        specialists = [name for name in ranked if name != catalogue.fallback]
        likely = bool(specialists) and scores[specialists[0]] >= self.least_score
        abstained = ranked[0] == catalogue.fallback or (catalogue.fallback in ranked and (nobody_fits or not likely))
        if abstained:
            ranked = [catalogue.fallback, *specialists]
            trusted[catalogue.fallback] = max(scores[name] for name in allowed)
        tokens = {name: catalogue.get(name).persona.sampling.most_spoken for name in ranked}
        worth = [] if abstained else [name for name in ranked if trusted[name] >= self.price(name, catalogue)]
        seated = _filled(ranked, worth, tokens, request)
        drawn, propensities = self._explored(seated, ranked, tokens, request)
        return Decision(
            router=router,
            digest=digest,
            scores=scores,
            seats=shares(trusted, sorted(drawn, key=lambda name: -trusted[name])),
            propensities={**dict.fromkeys(scores, 0.0), **propensities},
            abstained=abstained and not request.must_sit and drawn == seated,
        )

    def identity(self, catalogue: Catalogue) -> str:
        """Return all that a choice depends on but scores and request: what a router's digest has to hold."""
        tokens = {name: member.persona.sampling.most_spoken for name, member in catalogue.members.items()}
        return f"{self} {catalogue.fallback} {tokens}"

    def price(self, member: str, catalogue: Catalogue) -> float:
        """Return how likely a member must be to sit beside a likelier one: what its tokens are worth."""
        return self.token_price * catalogue.get(member).persona.sampling.most_spoken

    def _explored(
        self, seated: list[str], ranked: Sequence[str], tokens: Mapping[str, int], request: Request
    ) -> tuple[list[str], dict[str, float]]:
        """Return who sits after chance had its say, and with what probability each might have."""
        last = seated[-1]
        others = [name for name in ranked if name not in seated and affordable((*seated[:-1], name), tokens, request)]
        if not self.exploration or not others or last in request.must_sit:
            return seated, dict.fromkeys(seated, 1.0)
        propensities = {
            **dict.fromkeys(seated, 1.0),
            last: 1 - self.exploration,
            **dict.fromkeys(others, self.exploration / len(others)),
        }
        chance = _chance(self.seed, request)
        if chance.random() >= self.exploration:
            return seated, propensities
        return [*seated[:-1], chance.choice(others)], propensities


def _filled(ranked: Sequence[str], worth: Sequence[str], tokens: Mapping[str, int], request: Request) -> list[str]:
    """Return who sits without chance: who must, then the first, then whoever is worth it or needed."""
    seated = [name for name in ranked if name in request.must_sit]
    for name in ranked:
        if name in seated:
            continue
        wanted = name in worth or len(seated) < request.min_seats
        room = len(seated) < request.seats and affordable((*seated, name), tokens, request)
        if not seated or (wanted and room):
            seated.append(name)
    return seated


def affordable(seated: Sequence[str], tokens: Mapping[str, int], request: Request) -> bool:
    """Say whether what these may speak together is within the caller's budget."""
    return request.token_budget is None or sum(tokens[name] for name in seated) <= request.token_budget


def _check(request: Request, catalogue: Catalogue) -> None:
    """Raise where the limits name strangers, contradict each other, or leave nobody."""
    for name in (*request.must_sit, *request.must_not_sit):
        catalogue.get(name)
    if both := sorted(set(request.must_sit) & set(request.must_not_sit)):
        raise BadSettings(f"{both[0]!r} must sit and must not sit. Name it once.")
    if len(must := set(request.must_sit)) > request.seats:
        raise BadSettings(f"{len(must)} members must sit, and at most {request.seats} may. Raise seats.")
    if request.min_seats > request.seats:
        raise BadSettings(f"min_seats={request.min_seats} is more than seats={request.seats}. Lower the one.")
    if set(request.must_not_sit) >= set(catalogue.members):
        raise BadSettings("must_not_sit names every member, so that nobody is left. Leave one out.")


def _chance(seed: int, request: Request) -> Random:
    """Return a source of chance that draws alike for the same request."""
    text = "\0".join([str(seed), request.message, *request.history])
    return Random(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest())
