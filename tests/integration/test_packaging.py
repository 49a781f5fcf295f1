"""The package as users get it: built, installed with only its requirements, run, and typed."""

import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

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


def test_the_wheel_holds_the_package_and_the_sdist_its_tests_too(built):
    (wheel,), (sdist,) = built.glob("*.whl"), built.glob("*.tar.gz")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name for name in names if ".dist-info/" not in name} == MODULES
    with tarfile.open(sdist) as archive:
        held = {name.split("/", 1)[1] for name in archive.getnames()}
    assert held >= MODULES | {"README.md", "LICENSE", "pyproject.toml", "tests/integration/test_packaging.py"}


def test_the_wheel_runs_with_no_extras(python, tmp_path):
    where = call(python, "-c", "import lrsched; print(lrsched.__file__)", cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(python.parents[1])
    missing = (
        "import importlib.util as u; print([n for n in ('matplotlib', 'scipy', 'tqdm', 'pytest') if u.find_spec(n)])"
    )
    assert call(python, "-c", missing, cwd=tmp_path).strip() == "[]"
    for program in ([python, "-m", "lrsched"], [python.parent / "lrsched"]):
        shown = call(*program, "show", "inverse", "--steps", "4", cwd=tmp_path)
        assert [line.split()[-1] for line in shown.splitlines()[-4:]] == ["1", "0.5", "0.333333", "0.25"]


def test_a_users_program_runs_and_is_typed(python, tmp_path):
    program = tmp_path / "typed_user.py"
    program.write_text(Path(__file__).with_name("typed_user.py").read_text())
    assert "cutoff: abs(1 - 1) < 0.01" in call(python, program, cwd=tmp_path)
    mypy = [sys.executable, "-m", "mypy", "--strict", "--python-executable", python]
    assert "Success" in call(*mypy, program, cwd=tmp_path)
