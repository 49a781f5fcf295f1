"""The two tables at the top of benchmarks/README.md: the verdicts, and where the published figures lie."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from ..text_tables import markdown
from .collected import Table
from .table_rows import where
from .verdicts import ORDER

SHARED = ("at the published size and length", "only on reduced or stand-in data")
NOT_JUDGED = "not judged"


def verdicts(judged: Mapping[str, Sequence[Sequence[str]]]) -> str:
    """Return a table of the claims by verdict, as Markdown.

    `judged` maps each claim to its lines, which begin with the data and end with the verdict. Lines on the published
    size and length count; a claim that has none is judged by its other lines.
    """
    cells: dict[tuple[str, bool], list[str]] = {}
    for name, lines in judged.items():
        full = [line for line in lines if plain(line[-1]) in ORDER and is_full(line[0])]
        counting = full or [line for line in lines if plain(line[-1]) in ORDER] or lines
        by_verdict: dict[str, list[str]] = {}
        for line in counting:
            by_verdict.setdefault(plain(line[-1]), []).append(line[0].split(",")[0])
        for verdict, data in by_verdict.items():
            entry = name if len(by_verdict) == 1 else f"{name} on {' and '.join(dict.fromkeys(data))}"
            cells.setdefault((verdict, bool(full)), []).append(entry)
    rows = [verdict for verdict in (*ORDER, NOT_JUDGED) if {(verdict, True), (verdict, False)} & cells.keys()]
    parts = [[verdict, *(", ".join(cells.get((verdict, full), [])) for full in (True, False))] for verdict in rows]
    return markdown([["Verdict", *SHARED], *parts])


def plain(verdict: str) -> str:
    """Return a verdict without its remark; what was not run is not judged."""
    found = verdict.split(" (")[0]
    return found if found in ORDER else NOT_JUDGED


def is_full(data: str) -> bool:
    return "reduced" not in data and "stand-in" not in data


def published(tables: Iterable[Table]) -> str:
    """Return a table of how many published figures lie in our intervals, as Markdown; "" if there is no interval."""
    lines = [
        [
            "Table",
            "Published figure",
            "in the 95 % interval of our mean",
            "only in the interval for one more run",
            "in neither",
        ]
    ]
    for table in tables:
        found = where([*table.rows.values()], table.benchmark.published) if table.full else {}
        label = f"{table.label}, {seeds(table)} seeds"
        for figure, counts in found.items():
            lines.append([label, figure, *_counted(counts)])
            label = ""
    return markdown(lines) if len(lines) > 1 else ""


def _counted(counts: Counter[str]) -> list[str]:
    return [str(counts[place]) for place in ("mean", "run", "no")]


def seeds(table: Table) -> int:
    """Return the number of seeds that all rows of a table have."""
    names = [*table.rows]
    return len(table.accuracies(names)[names[0]])
