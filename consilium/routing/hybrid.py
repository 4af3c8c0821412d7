"""Two paths become one decision: HMoRA's mixture, at each level of the hierarchy (Liao et al., ICLR 2025, eq. 4)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

TRUST = 2.0
"""HMoRA's epsilon: a starts at -2 on the first level and at 2 on the last, so that groups follow the fine path by 0.88,
and members the coarse one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paths:
    """What each path decided, and how they were mixed; probabilities, [requests, choices]."""

    fine: "Tensor"
    coarse: "Tensor"
    mixed: "Tensor"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A decision and how it came about."""

    groups: Paths
    within: Paths
    """Of each member within its group."""
    members: Paths
    """The group's probability times the member's within it; rows sum to 1."""


class Hybrid(nn.Module):
    """Mixes at two levels, groups and members within their group, each path at a temperature of its own.

    Args:
        group_of: the group of each member, numbered from 0; all 0 makes a flat router.
    """

    def __init__(self, group_of: Sequence[int]) -> None:
        super().__init__()
        self._trust = nn.Parameter(torch.tensor([-TRUST, TRUST]))
        self._sharpness = nn.Parameter(torch.zeros(2, 2))  # ln(1 / temperature) of fine and coarse, by level
        self._group_of: Tensor
        self.register_buffer("_group_of", torch.tensor(group_of), persistent=False)
        self._groups = max(group_of) + 1

    def trust(self) -> tuple[float, float]:
        """Return how far groups and members follow the coarse path: sigmoid(a), from 0 to 1."""
        groups, members = self._trust.detach().sigmoid().tolist()
        return groups, members

    def forward(self, fine: "Tensor", coarse_groups: "Tensor", coarse_members: "Tensor") -> Found:
        """Mix logits of the two paths.

        Args:
            fine: of members, [requests, members]; a group's is the sum over its members, in probabilities.
            coarse_groups: [requests, groups].
            coarse_members: [requests, members].
        """
        group = self._group_of.expand_as(fine)
        fine_groups = _summed(fine, group, self._groups)
        scale = self._sharpness.exp()
        of_groups = (scale[0, path] * x for path, x in enumerate((fine_groups, coarse_groups)))
        of_members = (scale[1, path] * x for path, x in enumerate((fine, coarse_members)))
        groups = self._mixed(0, *(x.softmax(-1) for x in of_groups))
        within = self._mixed(1, *(_within(x, group, self._groups) for x in of_members))
        fine_, coarse, mixed = (
            getattr(groups, path)[:, self._group_of] * getattr(within, path) for path in ("fine", "coarse", "mixed")
        )
        return Found(groups=groups, within=within, members=Paths(fine=fine_, coarse=coarse, mixed=mixed))

    def _mixed(self, level: int, fine: "Tensor", coarse: "Tensor") -> Paths:
        weight = self._trust[level].sigmoid()
        return Paths(fine=fine, coarse=coarse, mixed=(1 - weight) * fine + weight * coarse)


def _summed(logits: "Tensor", group: "Tensor", groups: int) -> "Tensor":
    """Return log sum exp of each group's members, [requests, groups]."""
    highest, _, totals = _weighed(logits, group, groups)
    return highest + totals.log()


def _within(logits: "Tensor", group: "Tensor", groups: int) -> "Tensor":
    """Return the softmax over each group's members, [requests, members].

    By division, not by the difference to `_summed`, in which large logits leave no digits for a share.
    """
    _, weights, totals = _weighed(logits, group, groups)
    return weights / totals.gather(-1, group)


def _weighed(logits: "Tensor", group: "Tensor", groups: int) -> tuple["Tensor", "Tensor", "Tensor"]:
    """Return each group's highest logit, each member's weight beside it (at most 1), and each group's sum of them."""
    shape = (*logits.shape[:-1], groups)
    highest = logits.new_full(shape, -torch.inf).scatter_reduce(-1, group, logits.detach(), "amax")
    weights = (logits - highest.gather(-1, group)).exp()
    return highest, weights, logits.new_zeros(shape).scatter_add(-1, group, weights)
