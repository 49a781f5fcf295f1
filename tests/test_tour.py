"""docs/tour.ipynb: it runs in a new kernel, and its stored outputs are those of the present code."""

import re
import runpy
from pathlib import Path

import pytest

pytest.importorskip("nbclient", reason="it runs the notebook")
pytest.importorskip("ipykernel", reason="it runs the notebook")
pytest.importorskip("sklearn", reason="the notebook has its data")

PATH = Path(__file__).parent.parent / "docs" / "tour.ipynb"
TOUR = runpy.run_path(str(PATH.with_suffix(".py")))


def text(cell):
    """Return what a cell prints; only the number of lines if its tag says that a training gave it, on some CPU."""
    shown = "".join(output.get("text", output.get("data", {}).get("text/plain", "")) for output in cell.outputs)
    return len(shown.splitlines()) if "trained" in cell.metadata.get("tags", []) else shown


def pictures(cell):
    """Return how many pictures a cell shows."""
    kinds = [output.get("data", {}) for output in cell.outputs]
    return sum("image/png" in data or "data:image/png" in data.get("text/html", "") for data in kinds)


@pytest.mark.filterwarnings("default")  # those of Jupyter
def test_it_runs_and_its_outputs_are_up_to_date():
    stored = [cell for cell in TOUR["read"]().cells if cell.cell_type == "code"]
    executed = [cell for cell in TOUR["executed"]().cells if cell.cell_type == "code"]  # raises if a cell does
    for old, new in zip(stored, executed, strict=True):
        assert text(old) == text(new), f"run python docs/tour.py; this cell's output has changed:\n{old.source}"
        assert pictures(old) == pictures(new), old.source
    assert sum(map(pictures, stored)) >= 6


def test_it_is_small():
    assert PATH.stat().st_size < 300_000


def test_nothing_in_it_names_the_machine_that_ran_it():
    content = PATH.read_text(encoding="utf-8")
    assert not re.search(r"/tmp/|/home/|/root/|ipykernel_\d", content)
    assert '"execution"' not in content
