import ast
import re
import sys
from pathlib import Path

import pytest

from benchmarks import replications
from benchmarks.__main__ import MODULES, main
from benchmarks.commands import BenchmarkError, chosen

SMOKE = ["digits", "--epochs", "1", "--seeds", "1", "--settings", "seq4-cutoff,sgd"]


def test_without_a_name_it_lists_what_there_is(capsys):
    assert main([]) == 0
    listed = capsys.readouterr().out
    for name in MODULES:
        assert f"\n  {name} " in listed


def test_an_unknown_name_lists_what_there_is(capsys):
    assert main(["digit"]) == 2
    printed = capsys.readouterr().err
    assert "unknown benchmark 'digit'" in printed
    assert "\n  digits " in printed


def test_a_missing_package_is_named(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "benchmarks.replications.digits", None)
    assert main(SMOKE) == 1
    assert "install what the benchmarks need" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--seeds", "--epochs"])
@pytest.mark.parametrize("value", ["0", "-1", "1.5", "many"])
def test_counts_are_integers_from_one(option, value, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["digits", option, value])
    assert stop.value.code == 2
    assert f"argument {option}" in capsys.readouterr().err


@pytest.mark.parametrize("name", MODULES)
def test_every_benchmark_shows_its_options(name, capsys):
    with pytest.raises(SystemExit) as stop:
        main([name, "--help"])
    assert stop.value.code == 0
    assert f"usage: python -m benchmarks {name} " in capsys.readouterr().out


def test_chosen_names_keep_the_known_order():
    known = ["sgd", "adam", "seq1"]
    assert chosen("setting", " seq1,sgd", known) == ["sgd", "seq1"]
    assert chosen("setting", None, known) == known
    with pytest.raises(BenchmarkError, match=r"^unknown setting 'seq5', 'x'; choose from sgd, adam, seq1$"):
        chosen("setting", "sgd,seq5,x", known)
    with pytest.raises(BenchmarkError, match=r"^--settings is empty; choose from sgd, adam, seq1$"):
        chosen("setting", " , ", known)


def test_replications_do_not_import_costs():
    for path in Path(replications.__file__).parent.glob("*.py"):
        assert "costs" not in re.findall(r"^from \.\.(\w*)", path.read_text(), re.MULTILINE), path.name


def test_only_four_private_files_of_lrsched_are_imported():
    comparison = {"lrsched.comparison._json_lines", "lrsched.comparison._devices", "lrsched.comparison._statistics"}
    allowed = {*comparison, "lrsched.ensembles._recorded_model"}
    found = set()
    for path in Path(replications.__file__).parents[1].rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and not node.level and node.module.startswith("lrsched."):
                found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    private = {name for name in found if any(part.startswith("_") for part in name.split("."))}
    assert {name for name in private if not any(name.startswith(each) for each in allowed)} == set()
    assert found >= {"lrsched.plot"}
