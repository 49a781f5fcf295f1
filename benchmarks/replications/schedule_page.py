"""The tables and the picture of docs/which_schedule.md, from the records of the runs."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from lrsched import Estimate, Run, plot

from ..text_tables import markdown
from .collected import STAND_IN, Collected, Table, records
from .rules import BENCHMARKS as RULES
from .settings import FOURTEEN
from .stats import differences

SEQUENCES = {
    "seq1": "`Inverse()`",
    "seq2": "`InverseSqrt()`",
    "seq3": "`Geometric(0.9)`",
    "seq4": "`Sawtooth(10, aligned=True)`, first value twice",
}
OTHERS = ("oscillate", "smoothed", "patience")  # rules that are compared with either on steep sequences
DATASETS = {"digits": "digits", "cifar10": "CIFAR-10, 5,000 images"}
DRAWN = {
    "sgd": "SGD at a fixed 0.001",
    "adam": "Adam at a fixed 0.001",
    "seq4-epoch": "sawtooth, every epoch",
    "seq4-cutoff": "by cutoff",
    "seq4-oscillate": "by oscillate",
    "seq4-either": "by either",
}


def blocks(collected: Collected, results: Path) -> dict[str, str]:
    """Return the generated parts of the page, by the names of their markers."""
    found = {"rules": rules(collected), "steep": steep(results)}
    return {name: f"\n{markdown(lines)}\n\n" for name, lines in found.items()}  # Markdown wants blank lines


def shown(collected: Collected) -> list[Table]:
    """Return CIFAR-10 in full and reduced, MNIST and digits; of several tables, the one that judges claims."""
    judging = {table.benchmark.name: table for table in collected.judging(tuple(FOURTEEN))}
    found = [judging.get("cifar10"), _reduced(collected), judging.get("mnist"), judging.get(STAND_IN)]
    return [table for table in found if table is not None]


def _reduced(collected: Collected) -> Table | None:
    """Return the largest reduced table of CIFAR-10, which has the rows by either."""
    tables = [table for table in collected.tables if table.benchmark.name == "cifar10" and not table.full]
    return max(tables, key=lambda table: table.runs, default=None)


def rules(collected: Collected) -> list[list[str]]:
    """Return the table of every sequence and rule: accuracy every epoch, and how far rules and Adam are ahead."""
    lines = [["Sequence", "every epoch", "by cutoff", "by oscillate", "by either", "Adam, fixed 0.001"]]
    for table in shown(collected):
        seeds = len(table.accuracies(["seq1-epoch"])["seq1-epoch"])
        lines.append([f"**{table.label}, {seeds} seeds**", *[""] * 5])
        lines += [
            [text, table.rows[f"{row}-epoch"].accuracy.text(4), *_ahead(table, row)] for row, text in SEQUENCES.items()
        ]
    return lines


def _ahead(table: Table, row: str) -> list[str]:
    """Return how far a sequence's rules, then Adam, are ahead of advancing every epoch."""
    own = f"{row}-cutoff-0.01"  # the first cutoff that PlateauSequence has by default
    cutoff = own if own in table.rows else f"{row}-cutoff"
    names = [cutoff, f"{row}-oscillate", f"{row}-either", "adam"]
    return [_gain(table, name, f"{row}-epoch") if name in table.rows else "–" for name in names]


def _gain(table: Table, name: str, base: str) -> str:
    found = table.accuracies([name, base])
    return signed(differences(found[name], found[base]))


def signed(values: Sequence[float]) -> str:
    """Return the mean of paired differences with its sign and interval, bold if the interval excludes 0."""
    mean = Estimate.of(values)
    text = f"{'+' if mean.mean > 0 else ''}{mean.text(4)}".replace("-", "−")
    return f"**{text}**" if mean.low > 0 or mean.high < 0 else text


def steep(results: Path) -> list[list[str]]:
    """Return the table of the rules for two steep sequences: accuracy by either, and how far others are ahead."""
    lines = [["Sequence", "by either", *(f"by {rule}" for rule in OTHERS)]]
    for path in sorted(results.glob("rules-*/runs.jsonl"), reverse=True):
        dataset = next(name for name in DATASETS if path.parent.name.startswith(f"rules-{name}"))
        accuracies = _accuracies(path, RULES[dataset].columns.accuracy)
        lines.append([f"**{DATASETS[dataset]}, {len(accuracies['0.5-either'])} seeds**", *[""] * (len(OTHERS) + 1)])
        lines += [_steep_line(accuracies, ratio, noise) for ratio in ("0.5", "0.1") for noise in ("", "-noise")]
    return lines


def _steep_line(accuracies: Mapping[str, list[float]], ratio: str, noise: str) -> list[str]:
    either = accuracies[f"{ratio}-either{noise}"]
    gains = [signed(differences(accuracies[f"{ratio}-{rule}{noise}"], either)) for rule in OTHERS]
    name = f"`Geometric({ratio})`{', noise' if noise else ''}"
    return [name, Estimate.of(either).text(4), *gains]


def _accuracies(path: Path, column: Callable[[Sequence[float]], float]) -> dict[str, list[float]]:
    """Return the accuracies of each setting in a file of runs, by seed."""
    runs = sorted((Run(**record) for record in records(path)), key=lambda run: run.seed)
    found: dict[str, list[float]] = {}
    for run in runs:
        found.setdefault(run.setting, []).append(column(run.metrics["accuracy"]))
    return found


def drawn(collected: Collected) -> list[Table]:
    """Return the tables of the picture: those of full size and length."""
    return [table for table in shown(collected) if table.full]


def picture(tables: Sequence[Table]) -> bytes:
    """Return a PNG: validation error above learning rate, a column of panels for each table."""
    figure = plot.figure(3.6 * len(tables), 5.4)
    panels = figure.subplots(2, len(tables), sharex="col", squeeze=False)
    for (above, below), table in zip(panels.T, tables, strict=True):
        plot.frame(above, title=table.label.replace(", on ", ",\non ").replace(", stand", ",\nstand"), log=True)
        plot.frame(below, xlabel="epoch", log=True)
        for i, name in enumerate(DRAWN):
            if name in table.rows:
                _draw(above, below, table.rows[name].runs, {**plot.line_style(i), "label": DRAWN[name]})
    panels[0, 0].set_ylabel("validation error (%)", color=plot.INK)
    panels[1, 0].set_ylabel("learning rate", color=plot.INK)
    handles, labels = panels[0, -1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=6, frameon=False, fontsize=8, labelcolor=plot.INK)
    content = io.BytesIO()
    figure.savefig(content, format="png")
    return content.getvalue()


def _draw(above: plot.Axes, below: plot.Axes, runs: list[Run], style: dict[str, object]) -> None:
    """Draw the means over the runs."""
    epochs = range(1, min(len(run.lrs) for run in runs) + 1)
    errors = 100 - 100 * np.array([run.metrics["accuracy"][: len(epochs)] for run in runs])
    above.plot(epochs, errors.mean(axis=0), **style)
    rates = np.array([run.lrs[: len(epochs)] for run in runs])[:, :, 0]
    below.plot(epochs, rates.mean(axis=0), **style, drawstyle="steps-mid")
