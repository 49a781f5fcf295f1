"""Tables of text cells, the header first: printed to the terminal, or as Markdown."""

from __future__ import annotations

from collections.abc import Collection

from rich import box
from rich.console import Console
from rich.table import Table


def show(lines: list[list[str]], title: str, right: Collection[str] = ()) -> None:
    """Print the table, with a gap before each line whose first cell is not empty.

    `right` names the right-aligned columns.
    """
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1))
    for name in lines[0]:
        table.add_column(name, no_wrap=True, justify="right" if name in right else "left")
    for first, *rest in lines[1:]:
        if first and table.row_count:
            table.add_section()
        table.add_row(first, *rest)
    console = Console(highlight=False)
    console.width = max(console.width, 160)  # narrower terminals wrap lines instead of cutting off figures
    console.print(table)


def markdown(lines: list[list[str]]) -> str:
    rule = ["---"] * len(lines[0])
    return "\n".join(f"| {' | '.join(line)} |" for line in [lines[0], rule, *lines[1:]])
