"""The rows of a table in the published layout, the notes below it, and its curves."""

from __future__ import annotations

import io
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from lrsched import Estimate, Report, Run
from lrsched.plot import INK, figure

from .. import machine
from .metrics import Columns
from .settings import Setting
from .stats import FEWEST


@dataclass(frozen=True)
class Published:
    """The authors' figures for a setting, from one run."""

    accuracy: float
    convergence: int


@dataclass(frozen=True)
class Heading:
    """The method and row of a setting of which only the name is known."""

    method: str
    row: str


@dataclass(frozen=True)
class Row:
    """A setting, its finished runs (at least one), and their figures."""

    name: str
    setting: Setting | Heading
    runs: list[Run]
    accuracies: list[float]
    convergences: list[int]
    accuracy: Estimate
    convergence: Estimate

    @property
    def stuck(self) -> int:
        """The number of runs that ended with a class unlearned."""
        return sum(run.final["unlearned"] > 0 for run in self.runs)

    def each(self) -> str:
        """Return the accuracy of every seed, with stuck runs marked."""
        pairs = zip(self.runs, self.accuracies, strict=True)
        return " ".join(f"{accuracy:.4f}{'*' if run.final['unlearned'] else ''}" for run, accuracy in pairs)


def summary(name: str, setting: Setting | Heading, runs: list[Run], columns: Columns, epochs: int) -> Row:
    """Return the row of a setting; `epochs` is the planned number of epochs of its runs."""
    accuracies = [columns.accuracy(run.metrics["accuracy"]) for run in runs]
    convergences = [columns.convergence(run.metrics["accuracy"], epochs) for run in runs]
    return Row(name, setting, runs, accuracies, convergences, Estimate.of(accuracies), Estimate.of(convergences))


def cells(rows: list[Row], published: Mapping[str, Published], compared: bool = False) -> list[list[str]]:
    """Return the table's header and lines; as in print, only the first line of a method names it.

    `compared` adds where the published figures lie, for tables of the published size and length.
    """
    lines = [["Method", "", "Accuracy", "Convergence", "n", "Stuck"]]
    if published:
        lines[0] += ["Published", "lies in", "conv.", "lies in"] if compared else ["Published", "conv."]
    previous = ""
    for row in rows:
        method = "" if row.setting.method == previous else row.setting.method
        previous = row.setting.method
        counts = [str(len(row.runs)), str(row.stuck)]
        lines.append([method, row.setting.row, row.accuracy.text(4), row.convergence.text(1), *counts])
        if published:
            lines[-1] += _published(row, published.get(row.name), compared)
    return lines


def _published(row: Row, theirs: Published | None, compared: bool) -> list[str]:
    if theirs is None:
        return [""] * (4 if compared else 2)
    accuracy, convergence = f"{theirs.accuracy:.5g}", str(theirs.convergence)
    if not compared:
        return [accuracy, convergence]
    return [accuracy, within(row.accuracy, theirs.accuracy), convergence, within(row.convergence, theirs.convergence)]


def within(ours: Estimate, theirs: float) -> str:
    """Return "mean" if their one run lies in our mean's interval, "run" if in that of one more run, otherwise "no"."""
    if math.isnan(ours.half):
        return "–"
    if ours.low <= theirs <= ours.high:
        return "mean"
    return "run" if abs(theirs - ours.mean) <= ours.half * math.sqrt(ours.n + 1) else "no"


def where(rows: list[Row], published: Mapping[str, Published]) -> dict[str, Counter[str]]:
    """Return how often `within` says what, for accuracies and for convergences; nothing if there is no interval."""
    pairs = [(row, published[row.name]) for row in rows if row.name in published and row.accuracy.n >= FEWEST]
    if not pairs:
        return {}
    accuracy = Counter(within(row.accuracy, theirs.accuracy) for row, theirs in pairs)
    convergence = Counter(within(row.convergence, theirs.convergence) for row, theirs in pairs)
    return {"accuracy": accuracy, "convergence": convergence}


def length(epochs: int, published: int) -> str:
    """Return the number of epochs as text. If the published runs had more, say "reduced length"."""
    return f"reduced length: {epochs} of {published} epochs" if epochs < published else f"{epochs} epochs"


def notes(rows: list[Row]) -> list[str]:
    """Return the paragraphs below a table: the best settings, what the numbers mean, time, hardware, stuck runs."""
    best = max(rows, key=lambda row: row.accuracy.mean)
    fastest = min(rows, key=lambda row: row.convergence.mean)
    lines = [
        f"Best mean accuracy here: {best.name} ({best.accuracy.text(4)}). "
        f"Fastest mean convergence: {fastest.name} ({fastest.convergence.text(1)}).",
        f"{meaning(rows)} All settings of a seed share their initial weights and batch order. Stuck: runs that ended "
        "with a class of which fewer than one image in ten was recognised.",
        trained(rows),
    ]
    stuck = [f"{row.name} ({row.stuck} of {len(row.runs)}): {row.each()}" for row in rows if row.stuck]
    if stuck:
        lines.append(f"Accuracy of every seed of the settings with stuck runs (*): {'; '.join(stuck)}.")
    return lines


def trained(rows: list[Row]) -> str:
    """Return the sentences on the number of runs, the time they took, and the hardware."""
    runs = [run for row in rows for run in row.runs]
    hardware = "; ".join(sorted({machine.hardware_of(run.note) for run in runs}))
    return f"{len(runs)} runs, {sum(run.seconds for run in runs):.0f} s of training. Hardware: {hardware}."


def meaning(rows: list[Row]) -> str:
    """Return the sentences that explain the two columns."""
    few = [len(row.runs) < FEWEST for row in rows]
    sentences = []
    if not all(few):
        sentences.append("Mean ± half of the 95 % interval (Student's t) over n seeds.")
    if any(few):
        sentences.append("Below n = 3 the value of each seed is shown, without an interval.")
    return " ".join(sentences)


def curves(rows: list[Row], title: str) -> bytes:
    """Return a PNG: validation loss above learning rate, a column of panels per method, a colour per sequence."""
    methods = list(dict.fromkeys(row.setting.method for row in rows))
    picture = figure(1.2 + 3.4 * len(methods), 6.2)
    panels = picture.subplots(2, len(methods), sharex=True, sharey="row", squeeze=False)
    for axes, method in zip(panels.T, methods, strict=True):
        chosen = [row for row in rows if row.setting.method == method]
        Report([run for row in chosen for run in row.runs]).plot(axes=tuple(axes), title=method)
    for ax in panels[:, 1:].flat:
        ax.set_ylabel("")
    picture.suptitle(f"{title}; mean over seeds, each seed thin", x=0.01, ha="left", color=INK, fontsize=11)
    content = io.BytesIO()
    picture.savefig(content, format="png")
    return content.getvalue()
