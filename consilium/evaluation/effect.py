"""Does an adapter change anything: its likelihoods against the bare base's."""

from consilium.engines.protocol import Continuation, Engine, Message
from consilium.members.catalogue import Member

PROBE = "I will think about that and answer in a moment."
"""A reply that fits any request and that no member was trained on."""


async def adapter_effect(engine: Engine, member: Member, fallback: Member) -> float:
    """Return how far the member's likelihood of a probe reply is from the base's, in nats a token.

    The mean, over the member's first four example requests, of the absolute difference of the two log-likelihoods
    divided by the reply's tokens. A new LoRA has B = 0 and scores exactly 0: it passes every other check.
    """
    asked = [
        Continuation(member=name, messages=_messages(member, request), text=PROBE)
        for name in (member.name, fallback.name)
        for request in member.persona.examples[:4]
    ]
    found = await engine.likelihood(asked)
    half = len(found) // 2
    pairs = list(zip(found[:half], found[half:], strict=True))
    return sum(abs(own.log_probability - base.log_probability) / own.tokens for own, base in pairs) / len(pairs)


def _messages(member: Member, request: str) -> tuple[Message, ...]:
    return (
        Message(role="system", content=member.persona.system_prompt),
        Message(role="user", content=request),
    )
