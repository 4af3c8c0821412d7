"""An evaluation as pictures: what arms earn for their tokens, what members can do, and whom the router chooses."""

from collections.abc import Sequence
from pathlib import Path

from consilium.evaluation.pictures import empty, save
from consilium.suites.findings import Findings


def draw_costs(findings: Findings, file: Path) -> None:
    """Draw each arm's score against its tokens a row, with the bounds of the score. Raises `MissingExtra`."""
    figure = empty(7.0, 4.2)
    axes = figure.add_subplot()
    for place, arm in enumerate(findings.arms):
        found = findings.figures(arm)
        if (score := found.score) is None:
            continue
        bars = [[100 * (score.difference - score.low)], [100 * (score.high - score.difference)]]
        label = findings.labels[arm]
        axes.errorbar(
            [found.tokens],
            [100 * score.difference],
            yerr=bars,
            fmt="*" if arm == findings.arms[0] else "o",
            markersize=11 if arm == findings.arms[0] else 6,
            color=f"C{place % 10}",
            capsize=3,
            label=label,
        )
    axes.set_xlim(left=0)
    axes.set_ylim(-3, 103)
    axes.set_xlabel("tokens a row, prompts included")
    axes.set_ylabel("score, points of 100")
    axes.grid(alpha=0.25)
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    save(figure, file)


def draw_members(findings: Findings, file: Path) -> None:
    """Draw what each member earns alone, and on how many rows it was best, routed to and seated."""
    members = findings.members()[::-1]
    figure = empty(8.0, 1.2 + 0.34 * len(members))
    scores, usage = figure.subplots(1, 2, sharey=True)
    places = range(len(members))
    scores.barh(places, [100 * member.score.difference if member.score else 0 for member in members], color="C0")
    for place, member in enumerate(members):
        if member.score is not None:
            scores.plot([100 * member.score.low, 100 * member.score.high], [place, place], color="black", linewidth=1)
    scores.set_yticks(places, [member.member for member in members])
    scores.set_xlabel("score alone, points of 100")
    for number, (field, label) in enumerate(
        (("best", "best"), ("routed", "router's choice"), ("seated", "in council"))
    ):
        rows = [getattr(member, field) for member in members]
        usage.barh([place + 0.26 * (1 - number) for place in places], rows, height=0.24, label=label)
    usage.set_xlabel("rows")
    usage.legend(fontsize=7)
    save(figure, file)


def draw_confusion(names: Sequence[str], counts: Sequence[Sequence[int]], file: Path) -> None:
    """Draw how often each [best, chosen] pair of members was."""
    figure = empty(2.6 + 0.5 * len(names), 1.8 + 0.42 * len(names))
    axes = figure.add_subplot()
    most = max(max(row) for row in counts)
    image = axes.imshow(counts, cmap="viridis_r", vmin=0)
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right")
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("the router's choice")
    axes.set_ylabel("best member")
    for y, row in enumerate(counts):
        for x, count in enumerate(row):
            if count:
                colour = "white" if count > most / 2 else "black"
                axes.text(x, y, str(count), ha="center", va="center", fontsize=8, color=colour)
    figure.colorbar(image, label="rows")
    save(figure, file)
