"""A verdict on every published claim, by fixed rules, from the results so far."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping
from pathlib import Path

from ..commands import BenchmarkError, option_parser
from ..files import write
from ..text_tables import markdown
from . import schedule_page, study_claims, table_claims
from .collected import BENCHMARKS, STAND_IN, Collected, Table, collect
from .table_rows import cells, comparison

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
BASIS = {
    "A": "based on one run per setting",
    "B": "published without numbers",
    "C": "number of runs not published",
    "E": "a forum's question",
}
HEADER = ["Claim", "Data", "Statistic", "n", "Mean", "95 % interval", "p", "Verdict"]
RULES = """\
`replications/verdicts.py` computes every verdict from the records of the runs; none is written by hand. The settings of
a table share their seeds, so differences are paired. Intervals are Student's t at 95 %, and p is two-sided. If a
benchmark has several tables, of other sizes, lengths or hardware, they are never mixed, and one judges: with all
settings and at least 3 seeds before others; among these full size and length first, then more epochs, then more seeds.
**Best, fastest, worst:** the claimed setting minus its best rival: reproduced if ahead with p < 0.05, not reproduced if
behind with p < 0.05, otherwise within noise. Settings that the claim calls tied are not rivals, but must not be ahead
with p < 0.05. **Thresholds:** the same for the mean against the threshold: passing it needs p < 0.05, which is stricter
than comparing two numbers. **Nearly any:** at most one is not ahead with p < 0.05. **Alike, about:** reproduced if the
interval lies within the bounds, not reproduced if it lies entirely outside, otherwise within noise. **Shares of the
seeds:** reproduced if more than half, for every function; their interval is the exact binomial one. The verdict on a
claim of several parts is that of its weakest part. With fewer than 3 seeds nothing is judged: the values are shown in
place of the mean, without interval and p."""


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
    """Return every claim with its verdict on each dataset, as Markdown."""
    lines = [HEADER]
    for name, text in CLAIMS.items():
        first = f"**{name}** {text} ({BASIS[name[0]]})"
        for line in judged(name, collected):
            lines.append([first, *line])
            first = ""
    return f"{markdown(lines)}\n\n{RULES}\n"


def as_text(collected: Collected) -> str:
    """Return every claim with its verdicts for the terminal."""
    lines = []
    for name, text in CLAIMS.items():
        lines += textwrap.wrap(f"{name}  {text} ({BASIS[name[0]]})", 120, subsequent_indent="    ")
        for data, statistic, n, mean, interval, p, verdict in judged(name, collected):
            figures = f"    {data}: {statistic}; n {n}, mean {mean}, 95 % interval {interval}, p {p}"
            if data != "–":
                lines.append(figures)
            lines.append(f"    → {verdict}")
    return "\n".join(lines)


def tables(collected: Collected) -> str:
    """Return every table, published numbers included, and the commands for those that are missing, as Markdown."""
    parts = [part for table in collected.tables for part in shown(table)]
    left = [name for name in BENCHMARKS if name not in collected.names]
    if left:
        parts.append(f"Not run yet: {', '.join(map(command, left))}.")
    return "\n\n".join(parts) + "\n"


def shown(table: Table) -> list[str]:
    rows = list(table.rows.values())
    published = table.benchmark.published
    compared = comparison(rows, published) if table.full else ""
    remarks = [*table.benchmark.remarks(rows, table.epochs)[1:], compared]
    lines = cells(rows, published, compared=bool(compared))
    drawings = [table.folder / name for name in table.benchmark.drawings if (table.folder / name).exists()]
    pictures = [f"![{table.label}]({path.relative_to(table.folder.parents[1]).as_posix()})" for path in drawings]
    return [f"### {table.label}", markdown(lines), *pictures, " ".join(filter(None, remarks))]


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
        help="folder with a folder of results per benchmark; claims.md is written into it, the tables and claims into "
        "../README.md, and the tables of rules into ../../docs/which_schedule.md, if there are such pages "
        "(default: %(default)s)",
    )
    options = parser.parse_args(argv)
    if not options.results.is_dir():
        raise BenchmarkError(f"there is no folder {options.results}")
    collected = collect(options.results)
    print(as_text(collected))
    write(options.results / "claims.md", f"# Verdicts on the published claims\n\n{claims(collected)}")
    results = options.results.resolve()
    rewrite(results.parent / "README.md", {"tables": tables(collected), "claims": claims(collected)})
    advice = results.parents[1] / "docs" / "which_schedule.md"
    tables_drawn = schedule_page.drawn(collected)
    if advice.exists() and tables_drawn:
        rewrite(advice, schedule_page.blocks(collected, results))
        write(advice.with_suffix(".png"), schedule_page.picture(tables_drawn))
    return 0
