import pytest

from benchmarks.replications import metrics, table_rows
from benchmarks.replications.settings import SETTINGS
from benchmarks.replications.table_rows import curves
from benchmarks.text_tables import markdown, show
from lrsched import Estimate, Run


def run(name, seed, *accuracies, unlearned=0):
    n = len(accuracies)
    return Run(
        name,
        seed,
        train_loss=[1.0] * n,
        val_loss=[0.5] * n,
        metrics={"accuracy": list(accuracies)},
        lrs=[[0.01]] * n,
        final={"unlearned": unlearned},
        seconds=1.5,
        note="an abacus",
    )


def rows():
    runs = {
        "sgd": [run("sgd", 0, 0.5, 0.9), run("sgd", 1, 0.7, 0.7), run("sgd", 2, 0.6, 0.6)],
        "adam": [run("adam", 0, 0.8, 0.9)],
        "seq1-epoch": [run("seq1-epoch", 0, 0.6, 0.9), run("seq1-epoch", 1, 0.4, 0.5, unlearned=1)],
    }
    return [table_rows.summary(name, SETTINGS[name], done, metrics.MNIST, 2) for name, done in runs.items()]


def test_the_table_has_the_published_layout():
    published = {name: table_rows.Published(0.5, 7) for name in SETTINGS}
    assert table_rows.cells(rows(), published) == [
        ["Method", "", "Accuracy", "Convergence", "n", "Stuck", "Published", "conv."],
        # means 0.6, -0.667; s = 0.1, 0.577; t(0.975, 2) = 4.3027; t·s/√3 = 0.2484, 1.434
        ["Benchmark", "SGD", "0.6000 ± 0.2484", "-0.7 ± 1.4", "3", "0", "0.5", "7"],
        ["", "Adam", "0.8000", "0.0", "1", "0", "0.5", "7"],
        ["By epoch", "seq1", "0.6000, 0.4000", "0.0, 0.0", "2", "1", "0.5", "7"],
    ]
    assert len(table_rows.cells(rows(), {})[1]) == 6


def test_a_compared_table_says_where_the_published_figures_lie():
    published = {"sgd": table_rows.Published(0.8, 5), "adam": table_rows.Published(0.5, 7)}
    _, *lines = table_rows.cells(rows(), published, compared=True)
    assert [line[6:] for line in lines] == [["0.8", "mean", "5", "no"], ["0.5", "–", "7", "–"], [""] * 4]
    assert table_rows.where(rows(), published) == {"accuracy": {"mean": 1}, "convergence": {"no": 1}}
    assert table_rows.where(rows()[1:], published) == {}


@pytest.mark.parametrize(
    ("theirs", "where"),
    [(0.9, "mean"), (0.9248, "mean"), (0.9249, "run"), (0.9496, "run"), (0.9497, "no"), (0.8, "no")],
)
def test_one_more_run_may_lie_further_out_than_the_mean(theirs, where):
    # s = 0.01, t(0.975, 2) = 4.3027: t·s/√3 = 0.02484, t·s·√(4/3) = 0.04968
    assert table_rows.within(Estimate.of([0.89, 0.90, 0.91]), theirs) == where


def test_the_notes_list_every_seed_of_a_setting_with_stuck_runs():
    best, meaning, origin, stuck = table_rows.notes(rows())
    assert origin == "6 runs, 9 s of training. Hardware: an abacus."
    assert "Best mean accuracy here: adam (0.8000)." in best
    assert "Fastest mean convergence: sgd (-0.7 ± 1.4)." in best
    assert "seq1-epoch (1 of 2): 0.6000 0.4000*." in stuck
    assert meaning.startswith(
        "Mean ± half of the 95 % interval (Student's t) over n seeds. Below n = 3 the value of each"
    )
    assert len(table_rows.notes(rows()[:2])) == 3


def test_the_notes_explain_only_what_the_table_shows():
    sgd, adam, _ = rows()
    assert table_rows.meaning([sgd]) == "Mean ± half of the 95 % interval (Student's t) over n seeds."
    assert table_rows.meaning([adam]) == "Below n = 3 the value of each seed is shown, without an interval."


def test_a_run_shorter_than_the_published_ones_says_so():
    assert table_rows.length(5, 50) == "reduced length: 5 of 50 epochs"
    assert table_rows.length(50, 50) == "50 epochs"
    assert table_rows.length(60, 50) == "60 epochs"


def test_markdown_and_terminal_show_every_cell(capsys):
    lines = table_rows.cells(rows(), {})
    show(lines, "A title")
    printed = capsys.readouterr().out
    assert "A title" in printed
    for line in lines:
        assert f"| {' | '.join(line)} |" in markdown(lines)
        for cell in line:
            assert cell in printed


def test_curves_are_drawn_even_if_runs_differ_in_length():
    table = rows()
    table[0].runs[0].val_loss.append(None)
    table[0].runs[0].lrs.append([0.01])
    assert curves(table, "A title").startswith(b"\x89PNG")
