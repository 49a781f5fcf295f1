"""`.ci/versions` tests the oldest versions that pyproject.toml allows, and docs/versions.md shows its results."""

import re
import runpy
from pathlib import Path

ROOT = Path(__file__).parent.parent
SCRIPT = runpy.run_path(str(ROOT / ".ci" / "versions"), run_name="versions")
PROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")

PASSED = {"row": "oldest", "python": "3.10.1", "torch": "2.4.0+cpu", "numpy": "1.24.0", "pillow": "10.1.0"}
PASSED |= {
    "first_steps": True,
    "passed": 5,
    "skipped": {"needs a GPU": 2},
    "failed": [],
    "finished": True,
    "date": "2026-01-02",
}
FAILED = {"row": "newest", "python": "3.14.1", "torch": "3.0.0", "numpy": "3.0.0", "pillow": "13.0.0"}
FAILED |= {
    "first_steps": False,
    "passed": 4,
    "skipped": {},
    "failed": ["first_steps.py", "a::b"],
    "finished": False,
    "date": "2026-01-03",
}


def test_the_oldest_row_has_the_oldest_versions_that_are_allowed():
    oldest = SCRIPT["MATRIX"]["oldest"]
    asked = re.findall(r'"(\w+)>=([\d.]+)"', re.search(r"^dependencies = .*", PROJECT, re.MULTILINE).group())
    exact = [f"{name}=={version}" + ".0" * (2 - version.count(".")) for name, version in asked]
    assert oldest.pins == exact
    assert f'requires-python = ">={oldest.python}"' in PROJECT


def test_every_folder_and_file_of_tests_exists():
    assert all((ROOT / path).exists() for path in SCRIPT["TESTS"] + SCRIPT["SLOW"])


def test_the_page_shows_the_results_on_file():
    results = SCRIPT["stored"]()
    assert {"oldest", "newest"} <= {result["row"] for result in results}
    assert (ROOT / "docs" / "versions.md").read_text(encoding="utf-8") == SCRIPT["page"](results)


def test_the_page_names_the_reasons_and_the_failures():
    page = SCRIPT["page"]([PASSED, FAILED])
    assert "| 2.4.0+cpu | 3.10.1 | 1.24.0 | 10.1.0 | work | 5 | 2 | 0 | 2026-01-02 |" in page
    assert "| 3.0.0 | 3.14.1 | 3.0.0 | 13.0.0 | fail | 4 (stopped) | 0 | 2 | 2026-01-03 |" in page
    assert "| reason | torch 2.4.0 | torch 3.0.0 |\n| --- | --- | --- |\n| needs a GPU | 2 | 0 |\n" in page
    assert "## Which tests failed\n\n- torch 3.0.0: `first_steps.py`\n- torch 3.0.0: `a::b`\n" in page
    assert "Which tests failed" not in SCRIPT["page"]([PASSED])


def test_outcomes_are_counted_by_reason(tmp_path):
    report = tmp_path / "report.xml"
    report.write_text(
        '<testsuites><testsuite><testcase classname="a" name="x"/>'
        '<testcase classname="a" name="y"><skipped message="needs a GPU">a.py:3: needs a GPU</skipped></testcase>'
        '<testcase classname="a" name="z"><failure message="assert"/></testcase>'
        '<testcase classname="a" name="w"><error message="setup"/></testcase></testsuite></testsuites>'
    )
    expected = {"passed": 1, "skipped": {"needs a GPU": 1}, "failed": ["a::z", "a::w"]}
    assert SCRIPT["outcomes"](report, 0) == expected
    assert SCRIPT["outcomes"](report, 1) == {**expected, "failed": ["first_steps.py", "a::z", "a::w"]}
