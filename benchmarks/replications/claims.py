"""A verdict on every published claim, by fixed rules, from the results so far."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping
from pathlib import Path

from .. import pieces
from ..commands import BenchmarkError, option_parser
from ..files import write
from ..text_tables import markdown
from . import headline, schedule_page, study_claims, table_claims
from .collected import BENCHMARKS, STAND_IN, Collected, Table, collect
from .table_rows import cells, trained, where

RESULTS = Path(__file__).parents[1] / "results"
ANSWERS = table_claims.TABLES | study_claims.STUDIES
CLAIMS = {
    "A1": "MNIST: seq3 by epoch converges fastest",
    "A2": "MNIST: seq4 by cutoff is the most accurate",
    "A3": "CIFAR-10: seq1 by oscillate (tied with seq1 by epoch) converges fastest",
    "A4": "CIFAR-10: seq3 by epoch is the most accurate",
    "A5": "CIFAR-10: seq2, seq3, seq4 by cutoff do badly (≤ 0.65), seq1 by cutoff does not",
    "A5, c₀ = 0.01": "the same if the first cutoff of seq1 is 0.01 of the first loss, like all others, not 0.1",
    "A6": "a proper scheme improves CIFAR-10 a lot (≥ 0.01) and MNIST only a little (< 0.005)",
    "A7": "under cutoff and oscillate, seq3 and seq4 behave alike",
    "B1": "the repository's own schedule beats all alternatives",
    "B2": "some pictures beat cyclic and Adam 3e-4",
    "B3": "fixed 3e-4 with momentum is the worst; nearly any schedule beats it",
    "B4": "on MNIST all schedules do about equally well",
    "C1": "before training the sweet spot of the functions (1/x excepted) is 1e-2 … 1e-1",
    "C2": "after training it has moved down, to 1e-4 … 1e-3",
    "C3": "log: 30 epochs at 5e-2 equal about 425 at 1e-3 (a factor of 14)",
    "C4": "1/x shows no dip before 8 epochs",
    "C5": "lowering the rate late removes the spikes and improves the loss about 1.3×",
    "C6": "CIFAR-10: looking 16 batches ahead is enough to choose; 64 epochs of training do not shift the curve",
    "C7": "after training, 1e-3 looks bad 1 or 2 epochs ahead and best 8 ahead",
    "E1": "the bump in a range-test curve goes away with larger batches or more batches per rate",
}
PUBLICATIONS = {
    "A": "Yang & Huang, “Learning Rate Investigation” (2019); one run per setting",
    "B": "Jang et al., “Aesthetically Pleasing Learning Rates” (2018); published without numbers",
    "C": "“Diving deep: learning rate” (2020); number of runs not published",
    "E": "A question from a forum",
}
HEADER = ["Claim", "Data", "Verdict", "Statistic", "n", "Mean", "95 % interval", "p"]


def judged(name: str, collected: Collected) -> list[list[str]]:
    """Return the cells of a claim for each dataset, and for each benchmark that was not run."""
    answer = ANSWERS[name]
    found = [[label, *judgement.cells()] for label, judgement in answer.judge(collected)]
    left = [name for name in answer.benchmarks if name not in {*collected.names, STAND_IN}]
    return found + [["–", "–", "0", "–", "–", "–", f"not run: {command(name)}"] for name in left]


def command(name: str) -> str:
    words = BENCHMARKS[name].words if name in BENCHMARKS else [name]
    return f"`python -m benchmarks {' '.join(words)}`"


def claims(collected: Collected) -> str:
    """Return every claim with its verdict on each dataset, a section for each publication, as Markdown."""
    parts = []
    for letter, publication in PUBLICATIONS.items():
        lines = [HEADER]
        for name in (name for name in CLAIMS if name.startswith(letter)):
            first = f"**{name}** {CLAIMS[name]}"
            for data, statistic, n, mean, interval, p, verdict in judged(name, collected):
                lines.append([first, data, verdict, statistic, n, mean, interval, p])
                first = ""
        parts.append(f"### {letter}: {publication}\n\n{markdown(lines)}\n")
    return "\n".join(parts)


def as_text(collected: Collected) -> str:
    """Return every claim with its verdicts for the terminal."""
    lines = []
    for name, text in CLAIMS.items():
        lines += textwrap.wrap(f"{name}  {text}", 120, subsequent_indent="    ")
        for data, statistic, n, mean, interval, p, verdict in judged(name, collected):
            figures = f"    {data}: {statistic}; n {n}, mean {mean}, 95 % interval {interval}, p {p}"
            if data != "–":
                lines.append(figures)
            lines.append(f"    → {verdict}")
    return "\n".join(lines)


def summary(collected: Collected) -> str:
    """Return the verdicts and where the published figures lie, as Markdown."""
    found = {name: judged(name, collected) for name in CLAIMS if "," not in name}
    parts = [headline.verdicts(found), headline.published(judging(collected))]
    return "\n\n".join(filter(None, parts)) + "\n"


def judging(collected: Collected) -> list[Table]:
    """Return the tables that a claim is judged from."""
    labels = {line[0] for name in CLAIMS for line in judged(name, collected)}
    return [table for table in collected.tables if table.label in labels]


def tables(collected: Collected) -> str:
    """Return every table that judges claims, links to the others, and the commands for missing ones, as Markdown."""
    chosen = judging(collected)
    parts = [part for table in chosen for part in shown(table)]
    others = [f"[{table.label}]({link(table, 'table.md')})" for table in collected.tables if table not in chosen]
    if others:
        parts.append(f"Not shown, because another table judges the same claims: {'; '.join(others)}.")
    left = [name for name in BENCHMARKS if name not in collected.names]
    if left:
        parts.append(f"Not run yet: {', '.join(map(command, left))}.")
    return "\n\n".join(parts) + "\n"


def shown(table: Table) -> list[str]:
    """Return a table's heading, rows, curves, and what is special about it."""
    benchmark, rows = table.benchmark, [*table.rows.values()]
    compared = table.full and bool(where(rows, benchmark.published))
    drawings = [name for name in benchmark.drawings if (table.folder / name).exists()]
    pictures = [f"![{table.label}]({link(table, name)})" for name in drawings]
    shorter = benchmark.shorter_remark if table.epochs < benchmark.published_epochs else ""
    remarks = [trained(rows), shorter, f"[The accuracy of every seed]({link(table, 'table.md')})."]
    lines = markdown(cells(rows, benchmark.published, compared=compared))
    return [f"### {table.label}", lines, *pictures, " ".join(filter(None, remarks))]


def link(table: Table, name: str) -> str:
    """Return the path of one of a table's files, from the page beside the results."""
    return (table.folder / name).relative_to(table.folder.parents[1]).as_posix()


def replaced(page: str, name: str, content: str) -> str:
    """Return the page with the block between a name's markers replaced."""
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
    found, count = re.subn(f"{begin}.*?{end}", lambda match: f"{begin}{content}{end}", page, flags=re.DOTALL)
    if count != 1:
        raise BenchmarkError(f"the page must have <!-- {name}: begin --> and <!-- {name}: end --> exactly once")
    return found


def rewrite(path: Path, blocks: Mapping[str, str]) -> None:
    """Replace the blocks of a page, if it exists."""
    if path.exists():
        page = path.read_text()
        for name, content in blocks.items():
            page = replaced(page, name, content)
        write(path, page)


def main(argv: list[str]) -> int:
    parser = option_parser("claims", __doc__)
    parser.add_argument(
        "--results",
        type=Path,
        default=RESULTS,
        metavar="DIR",
        help="folder with a folder of results per benchmark; claims.md is written into it, tables and claims into "
        "../README.md, and the tables of rules into ../../docs/which_schedule.md, if there are such pages "
        "(default: %(default)s)",
    )
    options = parser.parse_args(argv)
    if not options.results.is_dir():
        raise BenchmarkError(f"there is no folder {options.results}")
    try:
        pieces.join(options.results)
        report(options.results)
    finally:
        pieces.split(options.results)
    return 0


def report(folder: Path) -> None:
    """Print the verdicts, and write the pages beside the folder of results."""
    collected = collect(folder)
    print(as_text(collected))
    title = (
        "# Verdicts on the published claims\n\n[How a verdict is reached](../README.md#how-a-verdict-is-reached)\n\n"
    )
    write(folder / "claims.md", title + claims(collected))
    results = folder.resolve()
    blocks = {"summary": summary(collected), "tables": tables(collected), "claims": claims(collected)}
    rewrite(results.parent / "README.md", blocks)
    advice = results.parents[1] / "docs" / "which_schedule.md"
    tables_drawn = schedule_page.drawn(collected)
    if advice.exists() and tables_drawn:
        rewrite(advice, schedule_page.blocks(collected, results))
        write(advice.with_suffix(".png"), schedule_page.picture(tables_drawn))
