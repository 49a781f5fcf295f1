"""Reports as pandas DataFrames."""

import sys

import pytest

from lrsched import Report, Run

RUNS = [
    Run("a", 0, [1.0, 0.9], [0.8, None], {"accuracy": [0.5, 0.6]}, [[0.1], [0.05]]),
    Run("b", 3, [1.0], [0.7], {"accuracy": [0.4], "f1": [0.3]}, [[0.2, 0.02]]),
]


@pytest.fixture
def pandas():
    return pytest.importorskip("pandas")


def test_there_is_a_row_for_each_run_and_epoch(pandas):
    nan = float("nan")
    expected = pandas.DataFrame(
        {
            "setting": ["a", "a", "b"],
            "seed": [0, 0, 3],
            "epoch": [1, 2, 1],
            "lr": [0.1, 0.05, 0.2],
            "lr_1": [nan, nan, 0.02],
            "val_loss": [0.8, nan, 0.7],
            "train_loss": [1.0, 0.9, 1.0],
            "accuracy": [0.5, 0.6, 0.4],
            "f1": [nan, nan, 0.3],
        }
    )
    pandas.testing.assert_frame_equal(Report(RUNS).to_pandas(), expected)


def test_means_by_pandas_are_those_of_the_table(pandas):
    losses = [[0.9, 0.3], [0.8, 0.4], [0.7, 0.5]]
    report = Report([Run("a", seed, val_loss=loss) for seed, loss in enumerate(losses)])
    last = report.to_pandas().groupby(["setting", "seed"])["val_loss"].last().groupby("setting").mean()
    assert last["a"] == pytest.approx(report.interval("a").mean)
    assert report.to_pandas()["lr"].isna().all()


@pytest.mark.usefixtures("pandas")
def test_metrics_named_like_a_column_are_told_apart():
    run = Run("a", 0, val_loss=[0.5], metrics={"lr": [1.0], "seed": [2.0], "val_loss": [9.0]}, lrs=[[0.1]])
    frame = Report([run]).to_pandas()
    assert [*frame.columns] == [
        "setting",
        "seed",
        "epoch",
        "lr",
        "val_loss",
        "train_loss",
        "metrics.lr",
        "metrics.seed",
    ]
    assert frame.loc[0, ["lr", "val_loss", "metrics.lr", "metrics.seed"]].tolist() == [0.1, 0.5, 1.0, 2.0]


@pytest.mark.usefixtures("pandas")
def test_no_runs_give_an_empty_frame():
    assert Report([]).to_pandas().shape == (0, 6)


def test_without_pandas_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"to_pandas needs pandas: pip install pandas"):
        Report(RUNS).to_pandas()
