"""CONTRIBUTING.md: its map names every file of the package, and every path in it exists."""

import re
from pathlib import Path

from .test_layers import FLOORS

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)


def mapped():
    """Return the paths that the map names: folders end in a slash, and two spaces more mean a folder deeper."""
    folders, paths = [], []
    for indent, name in re.findall(r"^( *)([\w/.]+)", BLOCKS[0], re.MULTILINE):
        depth = len(indent) // 2
        paths.append("".join(folders[:depth]) + name)
        if name.endswith("/"):
            folders[depth:] = [name]
    return paths


def test_the_map_names_every_file_and_no_other():
    files = {path.relative_to(ROOT).as_posix() for path in (ROOT / "lrsched").rglob("*.py")}
    wings = {f"{path.parent.relative_to(ROOT).as_posix()}/" for path in (ROOT / "lrsched").rglob("__init__.py")}
    inner = {file for file in files if file.endswith("__init__.py") and file.count("/") == 2}
    named = mapped()
    assert len(named) == len(set(named))
    assert set(named) == (files - inner) | wings


def test_every_path_named_exists():
    paths = set(re.findall(r"`([\w./]+(?:/|\.(?:py|md|toml)))`", PAGE))
    assert len(paths) > 20
    assert {path for path in paths if not (ROOT / path).exists()} == set()


def test_every_test_and_list_named_exists():
    for name, path in re.findall(r"`(\w+)`[^`]*?\bin\s+`(tests/[\w./]+\.py)`", PAGE):
        assert re.search(rf"^{name} = ", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE), f"{path}: {name}"


def test_the_figure_shows_the_floors_that_the_imports_are_held_to():
    shown = {}
    for floor, line in re.findall(r"^(\d) +(.*)$", BLOCKS[1], re.MULTILINE):
        for name in re.findall(r"\w+", line):
            if name in FLOORS:
                shown[name] = int(floor)
    assert shown == {name: floor for name, floor in FLOORS.items() if name != "__init__"}
    assert "5              the package `lrsched`" in BLOCKS[1]
    assert FLOORS["__init__"] == 5


def test_it_is_short():
    assert len(PAGE.splitlines()) < 170
