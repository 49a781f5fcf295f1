import json

import pytest

from benchmarks.__main__ import main
from benchmarks.costs import range_test_cost


@pytest.mark.parametrize(("samples", "intervals"), [(2, False), (3, True)])
def test_the_command_writes_its_figures(capsys, monkeypatch, tmp_path, samples, intervals):
    monkeypatch.setattr(range_test_cost, "PEERS", {})
    assert main(["range_test_cost", "--samples", str(samples), "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "lrsched.range_test" in printed
    assert "Claim: a range test costs at most 1.05 × the bare loop: " in printed
    written = json.loads((tmp_path / "range_test_cost.json").read_text())
    assert list(written) == ["hardware", "versions", "commit", "samples", "costs"]
    (cost,) = written["costs"]
    assert (cost["low"] is not None) == (cost["high"] is not None) == intervals


@pytest.mark.parametrize("make", [range_test_cost.bare_loop, range_test_cost.bare_loader_loop])
def test_a_bare_loop_trains(make, monkeypatch):
    setups = []
    setup = range_test_cost.Setup

    def kept():
        setups.append(setup())
        return setups[-1]

    monkeypatch.setattr(range_test_cost, "Setup", kept)
    run = make()
    (made,) = setups
    before = made.model[0].weight.clone()
    run()
    assert not before.equal(made.model[0].weight)
