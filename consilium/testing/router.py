"""What every `consilium.routing.protocol.Router` promises."""

import pytest

from consilium.routing.protocol import Decision, Request, Router

REQUESTS = (
    "How many boats came in?",
    "Define patience.",
    "list all files larger than a megabyte",
    "Wie spät ist es?",
    "zzzz qqqq",
    "?",
)


class RouterConformance:
    """Subclass it, override the fixture `router`, and name the members of its catalogue."""

    members: tuple[str, ...]

    @pytest.fixture
    def router(self) -> Router:
        """Return the router."""
        raise NotImplementedError("override the fixture `router`")

    async def decisions(self, router: Router, seats: int = 2) -> list[Decision]:
        """Return the decisions on `REQUESTS`."""
        return [await router.route(Request(message=text, seats=seats)) for text in REQUESTS]

    async def test_every_member_has_a_score_and_they_sum_to_one(self, router: Router) -> None:
        for decision in await self.decisions(router):
            assert sorted(decision.scores) == sorted(self.members)
            assert sum(decision.scores.values()) == pytest.approx(1)
            assert min(decision.scores.values()) >= 0

    @pytest.mark.parametrize("seats", [1, 2, 3])
    async def test_some_sit_but_no_more_than_may(self, router: Router, seats: int) -> None:
        for decision in await self.decisions(router, seats):
            names = [choice.member for choice in decision.seats]
            assert 1 <= len(names) <= seats
            assert len(set(names)) == len(names)
            assert set(names) <= set(self.members)
            assert sum(choice.weight for choice in decision.seats) == pytest.approx(1)

    async def test_the_likeliest_comes_first(self, router: Router) -> None:
        for decision in await self.decisions(router, 3):
            weights = [choice.weight for choice in decision.seats]
            assert weights == sorted(weights, reverse=True)

    async def test_propensities_are_probabilities_and_the_seated_could_be_seated(self, router: Router) -> None:
        for decision in await self.decisions(router):
            assert sorted(decision.propensities) == sorted(self.members)
            assert all(0 <= value <= 1 for value in decision.propensities.values())
            assert all(decision.propensities[choice.member] > 0 for choice in decision.seats)

    async def test_decisions_carry_the_routers_digest(self, router: Router) -> None:
        assert {decision.digest for decision in await self.decisions(router)} == {router.digest()}
