"""The table in the published layout: mean and interval of each setting's columns, for the terminal and as Markdown."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.table import Table

from lrsched import Run

from .. import machine
from .columns import Columns
from .settings import Setting
from .stats import Mean, mean_interval


@dataclass(frozen=True)
class Published:
    """What the authors printed for a setting, from one run."""

    accuracy: float
    convergence: int


@dataclass(frozen=True)
class Heading:
    """Where a row stands in its table, of a setting of which no more than its name is known."""

    method: str
    row: str


@dataclass(frozen=True)
class Row:
    """A setting and what its finished runs, at least one, came to."""

    name: str
    setting: Setting | Heading
    runs: list[Run]
    accuracies: list[float]
    convergences: list[int]
    accuracy: Mean
    convergence: Mean

    @property
    def stuck(self) -> int:
        """How many runs ended with a class unlearned."""
        return sum(run.final["unlearned"] > 0 for run in self.runs)

    def each(self) -> str:
        """Return every seed's accuracy, those of stuck runs marked."""
        pairs = zip(self.runs, self.accuracies, strict=True)
        return " ".join(f"{accuracy:.4f}{'*' if run.final['unlearned'] else ''}" for run, accuracy in pairs)


def summary(name: str, setting: Setting | Heading, runs: list[Run], columns: Columns, epochs: int) -> Row:
    """Return the row of a setting whose runs were to have so many epochs."""
    accuracies = [columns.accuracy(run.metrics["accuracy"]) for run in runs]
    convergences = [columns.convergence(run.metrics["accuracy"], epochs) for run in runs]
    return Row(name, setting, runs, accuracies, convergences, mean_interval(accuracies), mean_interval(convergences))


def cells(rows: list[Row], published: Mapping[str, Published]) -> list[list[str]]:
    """Return the table's header and lines; a method is named in its first line only, as in print."""
    lines = [["Method", "", "Accuracy", "Convergence", "n", "Stuck"]]
    if published:
        lines[0] += ["Published", "conv."]
    named = ""
    for row in rows:
        method, named = "" if row.setting.method == named else row.setting.method, row.setting.method
        counts = [str(len(row.runs)), str(row.stuck)]
        lines.append([method, row.setting.row, row.accuracy.text(4), row.convergence.text(1), *counts])
        if published:
            theirs = published.get(row.name)
            lines[-1] += [f"{theirs.accuracy:.5g}", str(theirs.convergence)] if theirs else ["", ""]
    return lines


def notes(rows: list[Row]) -> list[str]:
    """Return what the numbers mean and which settings came out best, a sentence each."""
    best = max(rows, key=lambda row: row.accuracy.mean)
    fastest = min(rows, key=lambda row: row.convergence.mean)
    lines = [
        f"Best mean accuracy here: {best.name}, {best.accuracy.text(4)}. "
        f"Fastest mean convergence: {fastest.name}, {fastest.convergence.text(1)}.",
        "Mean ± half of the 95 % interval (Student's t) over n seeds. All settings of a seed share first weights and "
        "batch order. Stuck: runs that ended with a class of which fewer than one image in ten was recognised.",
    ]
    runs = [run for row in rows for run in row.runs]
    took = f"{len(runs)} runs, {sum(run.seconds for run in runs):.0f} s of training."
    lines.append(f"{took} Hardware: {'; '.join(sorted({machine.hardware_of(run.note) for run in runs}))}.")
    stuck = [f"{row.name} ({row.stuck} of {len(row.runs)}): {row.each()}" for row in rows if row.stuck]
    return lines + [f"Every seed where a run got stuck (*): {'; '.join(stuck)}."] * bool(stuck)


def show(lines: list[list[str]], title: str, right: Collection[str] = ()) -> None:
    """Print a header and lines to the terminal, a gap before each line whose first cell is not empty.

    `right` names the columns whose cells stand to the right.
    """
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1))
    for name in lines[0]:
        table.add_column(name, no_wrap=True, justify="right" if name in right else "left")
    for first, *rest in lines[1:]:
        if first and table.row_count:
            table.add_section()
        table.add_row(first, *rest)
    console = Console(highlight=False)
    console.width = max(console.width, 160)  # in a narrower terminal lines wrap; the table must not lose figures
    console.print(table)


def markdown(lines: list[list[str]]) -> str:
    rule = ["---"] * len(lines[0])
    return "\n".join(f"| {' | '.join(line)} |" for line in [lines[0], rule, *lines[1:]])
