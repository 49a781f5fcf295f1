import pytest

from benchmarks.__main__ import main
from benchmarks.commands import BenchmarkError
from benchmarks.replications import images
from benchmarks.replications.collected import collect

from .helpers import judge, levels, put


def test_a_run_that_appears_twice_counts_once(tmp_path):
    put(tmp_path, "mnist", levels())
    path = next(tmp_path.glob("*/runs.jsonl"))
    path.write_text(path.read_text() * 2)
    (found,) = collect(tmp_path).tables
    assert {len(row.runs) for row in found.rows.values()} == {3}


def test_an_incomplete_last_line_does_not_count(tmp_path):
    put(tmp_path, "mnist", levels())
    path = next(tmp_path.glob("*/runs.jsonl"))
    path.write_text(path.read_text()[:-20])
    (found,) = collect(tmp_path).tables
    assert sum(len(row.runs) for row in found.rows.values()) == 14 * 3 - 1


@pytest.mark.parametrize("content", ["{}", "half a rec", "[]"])
def test_an_invalid_record_of_range_tests_is_named(tmp_path, content):
    (tmp_path / "range_noise").mkdir()
    (tmp_path / "range_noise" / "range_noise.json").write_text(content)
    with pytest.raises(BenchmarkError, match=r"range_noise.json is not a valid record of range tests: "):
        collect(tmp_path)


@pytest.mark.parametrize(
    "name", ["race_quality", "race_quality-large", "race_quality-large-text", "range_test_quality"]
)
def test_measurements_of_this_package_answer_no_claim(tmp_path, name):
    (tmp_path / name).mkdir()
    (tmp_path / name / "runs.jsonl").write_text('{"task": "text", "config": {}}\n')
    assert collect(tmp_path).tables == []


def test_a_label_names_data_and_length(tmp_path):
    put(tmp_path, "digits", levels())
    put(tmp_path, "mnist", levels(), epochs=5)
    put(tmp_path, "cifar10", levels("cifar10"), epochs=25)
    put(tmp_path, "images", levels("images"), epochs=250)
    put(tmp_path, "images-mnist", levels("images-mnist"), epochs=5)
    put(tmp_path, "mnist-as-written", levels("mnist-as-written"), epochs=60)
    put(tmp_path, "digits-as-written", levels("digits-as-written"), epochs=49)
    assert [table.label for table in collect(tmp_path).tables] == [
        "MNIST, reduced length: 5 of 50 epochs",
        "CIFAR-10 (JPEG), 25 epochs",
        "CIFAR-10, 250 epochs",
        "MNIST, reduced size: 10000 of 60000 images, reduced length: 5 of 250 epochs",
        "Digits (8x8), 50 epochs, stand-in for MNIST",
        "MNIST, 60 epochs, as written",
        "Digits (8x8), reduced length: 49 of 50 epochs, stand-in for MNIST, as written",
    ]


@pytest.mark.parametrize("line", ["{", "[]", "{}", '{"config": 1}', '{"config": {}}'])
def test_an_invalid_run_is_named(tmp_path, line, capsys):
    (tmp_path / "mnist").mkdir()
    (tmp_path / "mnist" / "runs.jsonl").write_text(f"{line}\n")
    assert main(["claims", "--results", str(tmp_path)]) == 1
    assert f"error: {tmp_path}/mnist/runs.jsonl" in capsys.readouterr().err


def test_a_run_that_stopped_early_and_never_settled_counts_as_all_epochs(tmp_path):
    put(tmp_path, "cifar10", {"sgd": [[0.5, 0.6, 0.5], [0.5, 0.7] * 10]}, epochs=25)
    (found,) = collect(tmp_path).tables
    assert found.rows["sgd"].convergences == [25, 25]


def test_a_row_that_users_cannot_add_is_named(tmp_path):
    put(tmp_path, "mnist", {"fog": [[0.99] * 50]})
    with pytest.raises(BenchmarkError, match=r"a run of an unknown benchmark or setting: KeyError\('fog'\)"):
        collect(tmp_path)


def test_a_users_picture_is_the_last_row(tmp_path):
    put(tmp_path, "images", {"fog": [[0.99] * 250] * 2, **levels("images", cyclic=0.95)}, epochs=250)
    (found,) = collect(tmp_path).tables
    assert list(found.rows) == [*images.BENCHMARK.settings, "fog"]
    assert (found.rows["fog"].setting.method, found.rows["fog"].setting.row) == ("Picture", "fog")
    assert judge("B2", tmp_path)[0][1] == "accuracy: fog − cyclic"
    assert main(["claims", "--results", str(tmp_path)]) == 0


def test_tables_from_different_hardware_are_both_shown_and_never_mixed(tmp_path):
    put(tmp_path / "cpu", "mnist", levels(), note="an abacus, 2 cores; commit 1")
    put(tmp_path / "gpu", "mnist", levels(seeds=(0, 0, 0, 0)), note="a loom; an abacus, 2 cores; commit 2")
    for name in ("cpu", "gpu"):
        (tmp_path / name / "mnist-50").rename(tmp_path / f"mnist-{name}")
    found = collect(tmp_path)
    assert [table.label for table in found.tables] == ["MNIST, 50 epochs, on a loom", "MNIST, 50 epochs, on a CPU"]
    assert [{len(row.runs) for row in table.rows.values()} for table in found.tables] == [{4}, {3}]
    assert [line[0] for line in judge("A2", tmp_path)] == ["MNIST, 50 epochs, on a loom"]


def test_a_table_names_all_hardware_that_trained_it(tmp_path):
    put(tmp_path, "mnist", {"sgd": [[0.9] * 50]}, note="an abacus, 2 cores; commit 1")
    path = next(tmp_path.glob("*/runs.jsonl"))
    line = path.read_text()
    path.write_text(line + line.replace("an abacus", "a loom; an abacus").replace('"seed": 0', '"seed": 1'))
    (found,) = collect(tmp_path).tables
    assert found.hardware == "a CPU and a loom"
    assert found.label == "MNIST, 50 epochs"  # no other table has this label


def label_of_judge(folder, *tables):
    """Write tables of CIFAR-10, and return the label of the one that judges A4."""
    for i, options in enumerate(tables):
        settings = {"accuracies": levels("cifar10"), "epochs": 25, **options}
        put(folder / "one", "cifar10", **settings)
        next((folder / "one").iterdir()).rename(folder / f"cifar10-{i}")
    ((label, _, _),) = judge("A4", folder)
    return label


REDUCED = {"limit": ", 5000 images"}


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ({}, {**REDUCED, "accuracies": levels("cifar10", seeds=(0, 0, 0, 0))}),  # full size
        ({}, {"epochs": 24, "accuracies": levels("cifar10", seeds=(0, 0, 0, 0))}),  # full length
        (REDUCED, {"accuracies": levels("cifar10", seeds=(0, 0))}),  # enough seeds to judge
        (REDUCED, {"accuracies": {"sgd": levels("cifar10")["sgd"]}}),  # all settings
    ],
)
def test_the_fullest_table_that_can_be_judged_judges(tmp_path, better, worse, order):
    label = label_of_judge(tmp_path, *[better, worse][::order])
    assert ("reduced size" in label) == (better == REDUCED)
    assert "reduced length" not in label
