"""How a decision of the hierarchical router is shown."""

from typing import TYPE_CHECKING

from rich.table import Table

from consilium.cli.consoles import out

if TYPE_CHECKING:
    from consilium.routing.hierarchical import Explanation
    from consilium.routing.hybrid import Paths

SHOWN = 5
"""Members and words of a table."""


def print_explanation(explanation: "Explanation") -> None:
    """Print both paths at both levels, what the deep stage said, words that pulled, and what seats lose and cost."""
    console = out()
    groups, members = explanation.trust
    console.print(f"\ngroups    the coarse path counts for {groups:.2f}")
    console.print(_paths(explanation.groups, explanation.fast.groups, len(explanation.groups)))
    console.print(f"members   the coarse path counts for {members:.2f}")
    console.print(_paths(explanation.members, explanation.fast.members, SHOWN))
    if explanation.deep is None:
        console.print("deep      not asked: the fast stage was sure enough")
    else:
        ranked = sorted(explanation.deep.items(), key=lambda item: -item[1])[:SHOWN]
        console.print("deep      " + "  ".join(f"{name} {share:.3f}" for name, share in ranked))
    if explanation.stay:
        console.print(f"stay      {explanation.stay:.3f} with whoever has just answered")
    pulls = [f"{word} {pull:+.2f}" for word, pull in explanation.pulls[:SHOWN]]
    console.print("words     " + ("  ".join(pulls) or "none"), markup=False)
    scores = explanation.decision.scores
    likeliest = sorted(scores, key=lambda name: -scores[name])[:SHOWN]
    behind = scores[likeliest[0]] - scores[likeliest[1]]
    console.print(f"runner-up {likeliest[1]}, {behind:.3f} behind {likeliest[0]}")
    safest = sorted(explanation.regrets, key=lambda name: explanation.regrets[name])[:SHOWN]
    console.print("regrets   " + "  ".join(f"{name} {explanation.regrets[name]:.2f}" for name in safest))
    console.print("prices    " + "  ".join(f"{name} {explanation.prices[name]:.2f}" for name in likeliest))


def _paths(names: tuple[str, ...], paths: "Paths", most: int) -> Table:
    table = Table("", "fine", "coarse", "mixed", box=None)
    rows = zip(names, *(path[0].tolist() for path in (paths.fine, paths.coarse, paths.mixed)), strict=True)
    for name, *shares in sorted(rows, key=lambda row: -row[3])[:most]:
        table.add_row(f"  {name}", *(f"{share:.3f}" for share in shares))
    return table
