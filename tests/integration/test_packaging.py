"""The package as users get it: built, installed with only its requirements, run, and typed."""

import os
import re
import subprocess
import sys
import tarfile
import venv
import zipfile
from email import message_from_string
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[2]
MODULES = {str(path.relative_to(ROOT)) for path in (ROOT / "lrsched").rglob("*.py")} | {"lrsched/py.typed"}


def call(*command, cwd):
    """Run a program without the PYTHON variables of this process; return what it prints."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run([*map(str, command)], cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Return the folder with the sdist and the wheel that is built from it."""
    folder = tmp_path_factory.mktemp("dist")
    call(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    return folder


@pytest.fixture(scope="module")
def python(built, tmp_path_factory):
    """Return the interpreter of a new environment with the wheel and its requirements."""
    folder = tmp_path_factory.mktemp("env")
    venv.create(folder, with_pip=True)
    interpreter = folder / "bin" / "python"
    (wheel,) = built.glob("*.whl")
    call(interpreter, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel, cwd=folder)
    (site,) = folder.glob("lib/python*/site-packages")
    for package in required("torch", "numpy", "pillow"):
        for name in {file.parts[0] for file in package.files if file.parts[0] not in ("..", "__pycache__")}:
            if not (site / name).exists():
                (site / name).symlink_to(package.locate_file(name))
    return interpreter


def required(*names):
    """Return the distributions of these names and of all that they require."""
    found = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = distribution(name)
            waiting += [entry for entry in map(plain_name, found[name].requires or []) if entry]
    return found.values()


def plain_name(requirement):
    """Return the name of a requirement, or None if it does not apply here."""
    parsed = Requirement(requirement)
    return parsed.name if parsed.marker is None or parsed.marker.evaluate({"extra": ""}) else None


@pytest.fixture(scope="module")
def metadata(built):
    """Return the metadata of the wheel. Its payload is the README as a package index shows it."""
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return message_from_string(archive.read(name).decode())


@pytest.fixture(scope="module")
def unpacked(built, tmp_path_factory):
    """Return the unpacked sdist."""
    folder = tmp_path_factory.mktemp("sdist")
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder)
    (root,) = folder.iterdir()
    return root


def links(text):
    """Return the targets of the links and pictures of a page, without anchors."""
    return {target.partition("#")[0] for target in re.findall(r"\]\(([^)]+)\)", text)} - {""}


def test_the_wheel_holds_the_package_and_is_small(built):
    (wheel,) = built.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name for name in names if ".dist-info/" not in name} == MODULES
    assert wheel.stat().st_size < 300_000


def test_the_sdist_holds_what_its_tests_need_and_nothing_heavy(built, unpacked):
    (sdist,) = built.glob("*.tar.gz")
    assert sdist.stat().st_size < 8_000_000
    held = {path.relative_to(unpacked).as_posix() for path in unpacked.rglob("*") if path.is_file()}
    tests = {path.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("*.py")}
    texts = {"README.md", "CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md", "LICENSE", "pyproject.toml", ".ci/run"}
    assert held >= MODULES | tests | texts | {"benchmarks/__main__.py", "benchmarks/results/digits/runs.jsonl"}
    pages = [unpacked / name for name in ("README.md", "CONTRIBUTING.md", "benchmarks/README.md")]
    pages += (unpacked / "docs").glob("*.md")
    assert len(pages) > 5
    for page in pages:
        relative = {target for target in links(page.read_text()) if not target.startswith("http")}
        assert not {target for target in relative if not (page.parent / target).exists()}, page.name


def test_the_index_shows_the_readme_with_absolute_links(metadata):
    shown, source = metadata.get_payload(), (ROOT / "README.md").read_text()
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert len(links(source)) > 15
    for target in links(shown):
        kind = (
            "raw.githubusercontent.com/lrsched/lrsched"
            if target.endswith(".png")
            else "github.com/lrsched/lrsched/blob"
        )
        assert target.startswith(f"https://{kind}/main/")
        assert (ROOT / target.partition("/main/")[2]).is_file()
    assert shown.count("](http") == source.count("](")
    assert "](#" not in shown  # an index makes no anchors of headings
    blocks = re.findall(r"```.*?```", source, re.DOTALL)
    assert blocks == re.findall(r"```.*?```", shown, re.DOTALL)


def test_the_metadata_say_who_what_and_where(metadata):
    assert metadata["Name"] == "torch-lrsched"
    assert metadata["Author"] == "lrsched contributors"
    assert metadata["License-Expression"] == "BSD-3-Clause"
    urls = dict(line.split(", ") for line in metadata.get_all("Project-URL"))
    assert set(urls) == {"Homepage", "Documentation", "Source", "Changelog", "Issues"}
    assert all(url.startswith("https://github.com/lrsched/lrsched") for url in urls.values())
    versions = re.findall(r"Python :: (3\.\d+)", "\n".join(metadata.get_all("Classifier")))
    assert "3.11" in versions
    assert all(version in SpecifierSet(metadata["Requires-Python"]) for version in versions)
    assert "3.9" not in SpecifierSet(metadata["Requires-Python"])


def test_the_readme_names_the_oldest_versions(metadata):
    torch = next(filter(re.compile("torch>=").match, metadata.get_all("Requires-Dist")))
    readme = (ROOT / "README.md").read_text()
    for name, requirement in (("Python", metadata["Requires-Python"]), ("torch", torch)):
        assert re.search(rf"{name} ([\d.]+) or newer", readme).group(1) == requirement.partition(">=")[2]


def test_the_wheel_runs_with_no_extras(python, tmp_path):
    where = call(python, "-c", "import lrsched; print(lrsched.__file__)", cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(python.parents[1])
    missing = (
        "import importlib.util as u; print([n for n in ('matplotlib', 'pandas', 'scipy', 'tqdm') if u.find_spec(n)])"
    )
    assert call(python, "-c", missing, cwd=tmp_path).strip() == "[]"
    loaded = "import lrsched, sys; print('PIL' in sys.modules, hasattr(lrsched, 'Pixels'))"
    assert call(python, "-c", loaded, cwd=tmp_path).strip() == "False True"  # Pillow waits for a picture
    for program in ([python, "-m", "lrsched"], [python.parent / "lrsched"]):
        shown = call(*program, "show", "inverse", "--steps", "4", cwd=tmp_path)
        assert [line.split()[-1] for line in shown.splitlines()[-4:]] == ["1", "0.5", "0.333333", "0.25"]


def test_a_users_program_runs_and_is_typed(python, tmp_path):
    program = tmp_path / "typed_user.py"
    program.write_text(Path(__file__).with_name("typed_user.py").read_text())
    assert "cutoff: abs(1 - 1) < 0.01" in call(python, program, cwd=tmp_path)
    mypy = [sys.executable, "-m", "mypy", "--strict", "--python-executable", python]
    assert "Success" in call(*mypy, program, cwd=tmp_path)
