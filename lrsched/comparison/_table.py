"""A table of text cells, written as Markdown, HTML or LaTeX."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|$~&])")  # "$" begins a formula in notebooks
_NUMBER = re.compile(r"([+-]?)(\d+(?:\.\d+)?)(?:e([+-]\d+))?")
_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "−": "$-$",
    **{character: f"{{{character}}}" for character in "[]*"},  # after the end of a row, they would be options
    **{character: f"\\{character}" for character in "&%$#_{}"},
}


@dataclass(frozen=True)
class Table:
    """Names in the first column, and cells of numbers in the others."""

    header: list[str]
    lines: list[list[str]]

    def markdown(self) -> str:
        """Return the table as Markdown whose source is also easy to read: only "|" is escaped."""
        return self._markdown(lambda cell: cell.replace("|", r"\|"))

    def rendered_markdown(self) -> str:
        """Return the table as Markdown to be rendered, in which names show as they are."""
        return self._markdown(_plain_markdown)

    def html(self, caption: str) -> str:
        """Return the table as HTML whose colours and fonts are those of the page."""
        rows = "\n".join(_html_row("td", line) for line in self.lines)
        return (
            '<table class="tex2jax_ignore mathjax_ignore" style="border-collapse: collapse; color: inherit">\n'
            f'<caption style="text-align: left; padding: 0.3em 0.6em">{html.escape(caption)}</caption>\n'
            f"<thead>\n{_html_row('th', self.header)}\n</thead>\n<tbody>\n{rows}\n</tbody>\n</table>"
        )

    def latex(self) -> str:
        """Return the table as a LaTeX tabular, for the package booktabs."""
        header = " & ".join(map(_latex_text, self.header))
        rows = [" & ".join([_latex_text(name), *map(_latex_numbers, cells)]) for name, *cells in self.lines]
        return "\n".join(
            [
                rf"\begin{{tabular}}{{l{'r' * (len(self.header) - 1)}}}",
                r"\toprule",
                rf"{header} \\",
                r"\midrule",
                *[rf"{row} \\" for row in rows],
                r"\bottomrule",
                r"\end{tabular}",
            ]
        )

    def _markdown(self, escape: Callable[[str], str]) -> str:
        rows = [[escape(" ".join(cell.splitlines())) for cell in line] for line in (self.header, *self.lines)]
        widths = [max(3, *map(_width, column)) for column in zip(*rows, strict=True)]
        rows.insert(1, ["-" * width for width in widths])
        padded = [
            [cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)] for row in rows
        ]
        return "\n".join(f"| {' | '.join(row)} |" for row in padded)


def _plain_markdown(text: str) -> str:
    """Return Markdown that shows the text as it is."""
    return _MARKDOWN.sub(r"\\\1", text)


def _width(text: str) -> int:
    """Return the number of columns that a text takes in a terminal."""
    narrow = sum(not unicodedata.combining(character) for character in text)
    return narrow + sum(unicodedata.east_asian_width(character) in "WF" for character in text)


def _html_row(tag: str, cells: list[str]) -> str:
    style = "padding: 0.2em 0.6em; border-bottom: 1px solid; text-align:"
    sides = ["left", *["right"] * (len(cells) - 1)]
    written = [
        f'<{tag} style="{style} {side}">{html.escape(cell)}</{tag}>' for cell, side in zip(cells, sides, strict=True)
    ]
    return f"<tr>{''.join(written)}</tr>"


def _latex_text(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in " ".join(text.splitlines()))


def _latex_numbers(text: str) -> str:
    """Return a cell of numbers with LaTeX's minus signs, powers of ten and ±."""
    return _NUMBER.sub(_latex_number, text).replace("±", r"$\pm$")


def _latex_number(match: re.Match[str]) -> str:
    sign, digits, exponent = match.groups()
    if exponent is not None:
        return rf"${sign}{digits} \times 10^{{{int(exponent)}}}$"
    return f"${sign}{digits}$" if sign else digits
