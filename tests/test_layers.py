import ast
import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

import lrsched

PACKAGE = Path(lrsched.__file__).parent
TESTS = Path(__file__).parent
SOURCES = {path.stem: path.read_text(encoding="utf-8") for path in PACKAGE.glob("*.py")}

LEVELS = {
    **dict.fromkeys(["_check", "_descent", "_runs", "_state", "_student", "sequences", "rules", "plot"], 0),
    **dict.fromkeys(["_report", "decays", "image", "curve"], 1),
    **dict.fromkeys(
        ["_batches", "_groups", "_processes", "_replay", "_stacked", "_training", "restore", "ensemble"], 2
    ),
    "_obstacle": 2.5,
    **dict.fromkeys(["_members", "schedulers", "plateau", "ramp", "sweep"], 3),
    **dict.fromkeys(["_beside", "_checkpoint", "_loop"], 3.5),
    "_plan": 3.7,
    "comparison": 4,
    "__init__": 5,  # stands for the package itself: `import lrsched`
    "__main__": 6,
}


# ---------------------------------------------------------------- the checker


def imports(source):
    """Yield (module, whether `import lrsched` leaves it out) for every import in a source; ours as "lrsched.x"."""
    tree = ast.parse(source)
    lazy = {id(node) for block in ast.walk(tree) if waits(block) for node in ast.walk(block)}
    for node in ast.walk(tree):
        for target in targets(node):
            yield target, id(node) in lazy


def waits(node):
    """Return whether the body of a node is not run on import: a function's, or one for type checkers only."""
    typing_only = (
        isinstance(node, ast.If)
        and not node.orelse
        and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")
    )
    return typing_only or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))


def targets(node):
    """Return the full names of the modules that one node of a syntax tree imports."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        base = ".".join(["lrsched"] * bool(node.level) + [node.module] * bool(node.module))
        if base == "lrsched":  # `from . import x`: a module, or a name of the package's own
            return [f"{base}.{alias.name}" if alias.name in LEVELS else base for alias in node.names]
        return [base]
    if isinstance(node, ast.Call) and ast.unparse(node.func) in (
        "importlib.import_module",
        "import_module",
        "__import__",
    ):
        return [node.args[0].value if isinstance(node.args[0], ast.Constant) else "a computed name"]
    return []


def fault(module, target, lazy):
    """Return what is wrong with one import in one of our modules, or None."""
    level = LEVELS[module]
    top, _, rest = target.partition(".")
    if top == "lrsched":
        inner = rest.partition(".")[0] or "__init__"
        if inner not in LEVELS:
            return "has no level"
        if module == "plot":
            return "plot imports nothing of ours"
        if LEVELS[inner] < level or (inner in helpers(module) and level == LEVELS[inner]):
            return None
        return f"level {level} must not import level {LEVELS[inner]}"
    if top == "matplotlib" and module == "plot":
        return None if lazy else "matplotlib must be imported inside functions"
    allowed = {*sys.stdlib_module_names, "numpy"} | ({"torch"} if level >= 2 else set())
    if module in ("image", "__main__"):
        allowed.add("PIL")
    return None if top in allowed else f"{top} does not belong at level {level}"


def helpers(module):
    """Return what a module may import at its own level: the shared helpers, in their order."""
    shared = ["_check", "_state", "_replay", "_stacked"]
    return shared[: shared.index(module)] if module in shared else shared


def violations(sources):
    """Return "module: target: why" for every import, at any depth, that the layering does not allow."""
    found = [f"{module}: has no level" for module in sources if module not in LEVELS]
    for module in sources.keys() & LEVELS.keys():
        for target, lazy in imports(sources[module]):
            why = fault(module, target, lazy)
            if why:
                found.append(f"{module}: {target}: {why}")
    return found


def test_imports_point_down():
    assert violations(SOURCES) == []


@pytest.mark.parametrize(
    ("module", "source", "why"),
    [
        ("sequences", "from .decays import Inverse", "level 0 must not import level 1"),
        ("sequences", "from . import decays", "level 0 must not import level 1"),
        ("sequences", "import lrsched.schedulers", "level 0 must not import level 3"),
        ("sequences", "from lrsched.rules import Rule", "level 0 must not import level 0"),
        ("sequences", "def f():\n    from .decays import Inverse", "level 0 must not import level 1"),
        ("sequences", "if TYPE_CHECKING:\n    from .image import Pixels", "level 0 must not import level 1"),
        ("sequences", "import lrsched", "level 0 must not import level 5"),
        ("sequences", "from lrsched import Inverse", "level 0 must not import level 5"),
        ("_check", "from . import _check", "level 0 must not import level 0"),
        ("decays", "from .image import Pixels", "level 1 must not import level 1"),
        ("schedulers", "from .plateau import PlateauSequence", "level 3 must not import level 3"),
        ("schedulers", "import importlib\nimportlib.import_module('lrsched.sweep')", "level 3 must not import level 3"),
        ("comparison", "from . import SequenceLR", "level 4 must not import level 5"),
        ("comparison", "from .novel import f", "has no level"),
        ("novel", "", "has no level"),
        ("rules", "import torch", "torch does not belong at level 0"),
        ("decays", "class A:\n    def f(self):\n        from torch import nn", "torch does not belong at level 1"),
        ("image", "import torch.nn.functional as F", "torch does not belong at level 1"),
        ("decays", "from PIL import Image", "PIL does not belong at level 1"),
        ("schedulers", "def f():\n    import matplotlib.pyplot", "matplotlib does not belong at level 3"),
        ("plot", "from matplotlib import pyplot", "matplotlib must be imported inside functions"),
        (
            "plot",
            "try:\n    import matplotlib\nexcept ImportError:\n    pass",
            "matplotlib must be imported inside functions",
        ),
        ("plot", "if not TYPE_CHECKING:\n    import matplotlib", "matplotlib must be imported inside functions"),
        ("plot", "from ._check import number", "plot imports nothing of ours"),
        ("comparison", "from tqdm.auto import tqdm", "tqdm does not belong at level 4"),
        ("__main__", "def f():\n    import tqdm", "tqdm does not belong at level 6"),
        ("__main__", "__import__('rich')", "rich does not belong at level 6"),
    ],
)
def test_the_checker_finds_a_planted_violation(module, source, why):
    (line,) = violations({module: source})
    assert line.startswith(f"{module}: ")
    assert line.endswith(why)
    assert line in violations({**SOURCES, module: source})


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("sequences", "import math\nimport numpy as np\nfrom ._check import number\nfrom . import _check"),
        ("image", "from PIL import Image\nfrom .sequences import Sequence"),
        ("plot", "def f():\n    import matplotlib.pyplot as plt\n    import numpy"),
        ("plot", "if TYPE_CHECKING:\n    from matplotlib.axes import Axes"),
        ("schedulers", "import torch\nfrom ._groups import write\nfrom .decays import Inverse\nfrom . import plot"),
        ("__main__", "from lrsched import Inverse\nfrom . import plot\nfrom .image import Pixels"),
    ],
)
def test_the_checker_lets_downward_imports_pass(module, source):
    assert violations({module: source}) == []


# ---------------------------------------------------------------- files and names


@pytest.mark.parametrize("module", sorted(SOURCES.keys() - {"__init__"}))
def test_every_module_has_its_test_file(module):
    assert (TESTS / f"test_{module.strip('_')}.py").is_file()


def test_the_package_is_typed():
    assert (PACKAGE / "py.typed").is_file()


def test_no_module_bears_the_name_of_a_public_one():
    assert SOURCES.keys() & set(lrsched.__all__) == set()
    for module in SOURCES.keys() - {"__init__", "__main__"}:
        importlib.import_module(f"lrsched.{module}")
        assert isinstance(getattr(lrsched, module), ModuleType)


def test_init_holds_nothing_but_imports_all_and_version():
    docstring, *rest = ast.parse(SOURCES["__init__"]).body
    assert isinstance(docstring, ast.Expr)
    assert isinstance(docstring.value, ast.Constant)
    assigned = []
    for node in rest:
        if isinstance(node, ast.ImportFrom):
            assert "*" not in [alias.name for alias in node.names]
        elif not isinstance(node, ast.Import):
            assert isinstance(node, ast.Assign), ast.unparse(node)
            assigned += [ast.unparse(target) for target in node.targets]
            ast.literal_eval(node.value)
    assert sorted(assigned) == ["__all__", "__version__"]


SEQUENCES = """Sequence Constant Inverse InverseSqrt Geometric Sawtooth Exponential StepDecay TimeDecay Triangular Ramp
Cosine Linear Polynomial Warmup Piecewise Values Pixels"""
RULES = "Rule Cutoff Oscillation Patience Event preview"
SCHEDULERS = """SequenceLR InverseLR InverseSqrtLR GeometricLR SawtoothLR ExponentialDecayLR StepDecayLR TimeDecayLR
ImageLR CyclicLR PlateauSequence"""


def test_all_is_sorted_and_without_doubles():
    assert list(lrsched.__all__) == sorted(set(lrsched.__all__))


@pytest.mark.parametrize("name", f"{SEQUENCES} {RULES} {SCHEDULERS}".split())
def test_all_holds_every_public_name(name):
    assert name in lrsched.__all__


def test_every_name_in_all_is_ours_and_bears_that_name():
    for name in set(lrsched.__all__) - {"__version__"}:
        thing = getattr(lrsched, name)
        assert thing.__name__ == name
        assert thing.__module__.startswith("lrsched."), name


def test_every_public_class_of_a_public_kind_is_in_all():
    kinds = lrsched.Sequence, lrsched.Rule, torch.optim.lr_scheduler.LRScheduler
    for module in SOURCES.keys() - {"__init__", "__main__"}:
        for name, thing in vars(importlib.import_module(f"lrsched.{module}")).items():
            ours = isinstance(thing, type) and thing.__module__.startswith("lrsched.")
            if ours and issubclass(thing, kinds) and not name.startswith("_"):
                assert name in lrsched.__all__, f"lrsched.{module}.{name}"
