"""Tables of text as Markdown, HTML and LaTeX."""

from html.parser import HTMLParser

import pytest

from lrsched.comparison._table import Table

NAMES = ["a|b", "<b>&amp;</b>", "seq_1*2", r"50% \ #1 {x}~^$y$", "[x] “ü”"]
TABLE = Table(["Setting", "n", "loss − a"], [[name, "3", "-0.110 ± 0.025"] for name in NAMES])


class Cells(HTMLParser):
    """Collects the text of the cells, and the tags."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.caption, self.tags, self.open = [], "", [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data
        elif self.open and self.open[-1] == "caption":
            self.caption += data


def test_markdown_escapes_only_what_would_end_a_cell():
    lines = TABLE.markdown().splitlines()
    assert lines[2].startswith(r"| a\|b ")
    assert lines[3].startswith("| <b>&amp;</b> ")
    assert len({len(line) for line in lines}) == 1


def test_a_line_break_in_a_name_stays_in_its_cell():
    table = Table(["Setting", "n"], [["two\nlines\r\nand more", "3"]])
    assert table.markdown().splitlines()[2] == "| two lines and more | 3   |"
    assert r"two lines and more & 3 \\" in table.latex()


def test_wide_and_combining_characters_keep_the_columns_aligned():
    lines = Table(["Setting", "n"], [["学習率", "3"], ["é" * 6, "3"]]).markdown().splitlines()
    assert lines[2] == "| 学習率  | 3   |"  # each of the three takes two columns
    assert lines[3] == f"| {'é' * 6}  | 3   |"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a|b", r"a\|b"),
        ("<b>&amp;</b>", r"\<b\>\&amp;\</b\>"),
        ("seq_1*2", r"seq\_1\*2"),
        (r"50% \ #1 {x}~^$y$", r"50% \\ \#1 \{x\}\~^\$y\$"),
        ("[x] “ü”", r"\[x\] “ü”"),
    ],
)
def test_rendered_markdown_shows_names_as_they_are(name, text):
    line = Table(["Setting", "n"], [[name, "3"]]).rendered_markdown().splitlines()[2]
    assert line == f"| {text.ljust(7)} | 3   |"


def test_html_has_the_text_of_every_cell():
    found = Cells(TABLE.html("two <settings> & “more”"))
    assert found.rows == [TABLE.header, *TABLE.lines]
    assert found.caption == "two <settings> & “more”"
    assert not found.open
    assert {tag for tag, _ in found.tags} == {"table", "caption", "thead", "tbody", "tr", "th", "td"}


def test_html_needs_no_stylesheet_and_takes_the_colours_of_the_page():
    found = Cells(TABLE.html(""))
    cells = [attributes for tag, attributes in found.tags if tag in ("th", "td")]
    assert [attributes["style"].rpartition(" ")[2] for attributes in cells] == ["left", "right", "right"] * 6
    assert found.tags[0][1]["style"] == "border-collapse: collapse; color: inherit"
    assert TABLE.html("").count("color") == 1
    assert "mathjax_ignore" in found.tags[0][1]["class"]  # or $ would begin a formula


def test_latex_is_a_booktabs_table_with_every_character_escaped():
    assert TABLE.latex().splitlines() == [
        r"\begin{tabular}{lrr}",
        r"\toprule",
        r"Setting & n & loss $-$ a \\",
        r"\midrule",
        r"a\textbar{}b & 3 & $-0.110$ $\pm$ 0.025 \\",
        r"\textless{}b\textgreater{}\&amp;\textless{}/b\textgreater{} & 3 & $-0.110$ $\pm$ 0.025 \\",
        r"seq\_1{*}2 & 3 & $-0.110$ $\pm$ 0.025 \\",
        r"50\% \textbackslash{} \#1 \{x\}\textasciitilde{}\textasciicircum{}\$y\$ & 3 & $-0.110$ $\pm$ 0.025 \\",
        r"{[}x{]} “ü” & 3 & $-0.110$ $\pm$ 0.025 \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("0.40 ± 0.25 (1 diverged)", r"0.40 $\pm$ 0.25 (1 diverged)"),
        ("0.5, -0.4", "0.5, $-0.4$"),
        ("+0.05, +0.04", "$+0.05$, $+0.04$"),
        ("2.7e-05", r"$2.7 \times 10^{-5}$"),
        ("-1e+30 ± 2.5e+30", r"$-1 \times 10^{30}$ $\pm$ $2.5 \times 10^{30}$"),
        ("", ""),
    ],
)
def test_latex_has_minus_signs_and_powers_of_ten(cell, text):
    assert rf"a & {text} \\" in Table(["Setting", "loss"], [["a", cell]]).latex().splitlines()


def test_a_table_without_lines_has_its_header():
    table = Table(["Setting", "n"], [])
    assert table.markdown().splitlines() == ["| Setting | n   |", "| ------- | --- |"]
    assert Cells(table.html("no runs")).rows == [["Setting", "n"]]
    assert r"\bottomrule" in table.latex()
