"""Reports as pictures."""

from pathlib import Path
from typing import TYPE_CHECKING

from consilium.evaluation.pictures import empty, save
from consilium.learning.reports import Report, Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw(report: Report, file: Path) -> None:
    """Draw a report: its members or bins at the left, days at the right. Raises `MissingExtra` without matplotlib."""
    figure = empty(10, 4.2)
    left, right = figure.subplots(1, 2)
    tables = report.tables
    if report.name == "usage":
        _bars(left, tables["members"], "seats")
        _days(right, tables["days"], "turns")
    elif report.name == "members":
        _intervals(left, tables["wins"])
        for member in dict.fromkeys(row["member"] for row in tables["drift"]):
            _days(right, [row for row in tables["drift"] if row["member"] == member], "mean", member)
        right.legend(fontsize=7)
    elif report.name == "router":
        bins = tables["calibration"]
        left.plot([0, 1], [0, 1], color="grey", linewidth=0.8)
        left.plot([row["mean_score"] for row in bins], [row["mean_outcome"] for row in bins], marker="o")
        left.set(xlabel="score of the first seat", ylabel="mean outcome")
        right.barh(
            [f"{row['router']} {row['digest']}" for row in tables["versions"]][::-1],
            [row["turns"] for row in tables["versions"]][::-1],
        )
        right.set_xlabel("turns")
    else:
        _bars(left, tables["members"], "completion_tokens")
        _days(right, tables["days"], "latency_ms")
    save(figure, file)


def _bars(axes: "Axes", rows: list[Row], column: str) -> None:
    axes.barh([row["member"] for row in rows][::-1], [row[column] for row in rows][::-1])
    axes.set_xlabel(column.replace("_", " "))


def _days(axes: "Axes", rows: list[Row], column: str, label: str | None = None) -> None:
    axes.plot([row["day"] for row in rows], [row[column] for row in rows], marker="o", label=label)
    axes.set_ylabel(column.replace("_", " "))
    axes.tick_params(axis="x", rotation=45)


def _intervals(axes: "Axes", rows: list[Row]) -> None:
    places = range(len(rows))
    means = [row["mean"] for row in rows]
    bounds = [[row["mean"] - row["low"] for row in rows], [row["high"] - row["mean"] for row in rows]]
    axes.errorbar(means, list(places), xerr=bounds, fmt="o", capsize=3)
    axes.set_yticks(list(places), [row["member"] for row in rows])
    axes.set(xlabel="mean outcome", xlim=(0, 1))
