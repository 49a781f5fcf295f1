import ast
import importlib
import pickle
import sys
import typing
from pathlib import Path
from types import ModuleType, UnionType

import pytest
import torch

import lrsched

PACKAGE = Path(lrsched.__file__).parent
TESTS = Path(__file__).parent
WINGS = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))
SOURCES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path.read_text(encoding="utf-8")
    for path in PACKAGE.rglob("*.py")
}

# A module may import from lower floors only, and from its own wing. Shared files stand on floors of their own.
FLOORS = {
    **dict.fromkeys(["_check", "plot"], 0),
    "sequences": 1,
    **dict.fromkeys(["_functions", "_processes"], 2),  # torch enters here
    **dict.fromkeys(["_progress", "schedulers", "ensembles"], 3),
    **dict.fromkeys(["finder", "comparison"], 4),
    "__init__": 5,  # stands for the package itself: `import lrsched`
    "__main__": 6,
}

# Packages that may be missing, and the one module that imports each, inside functions.
LAZY = {("matplotlib", "plot"), ("tqdm", "_progress"), ("pandas", "comparison._data_frame")}


# ---------------------------------------------------------------- the checker


def imports(module, source):
    """Yield (target, whether `import lrsched` leaves it out) for every import in a source, with full names."""
    tree = ast.parse(source)
    lazy = {id(node) for block in ast.walk(tree) if waits(block) for node in ast.walk(block)}
    for node in ast.walk(tree):
        for target in targets(module, node):
            yield target, id(node) in lazy


def waits(node):
    """Return whether the body of a node is not run on import: a function's, or one for type checkers only."""
    typing_only = (
        isinstance(node, ast.If)
        and not node.orelse
        and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")
    )
    return typing_only or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))


def targets(module, node):
    """Return the full names of the modules that one node of a module's syntax tree imports."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        base = origin(module, node)
        if base == "lrsched":  # `from .. import x`: a file, a wing, or a name of the package's own
            return [f"{base}.{alias.name}" if alias.name in FLOORS else base for alias in node.names]
        if base.removeprefix("lrsched.") in WINGS:  # `from . import _x`
            return [f"{base}.{alias.name}" for alias in node.names]
        return [base]
    if isinstance(node, ast.Call) and ast.unparse(node.func) in (
        "importlib.import_module",
        "import_module",
        "__import__",
    ):
        return [node.args[0].value if isinstance(node.args[0], ast.Constant) else "a computed name"]
    return []


def origin(module, node):
    """Return the full name of what a `from … import` imports from; each dot after the first goes one folder up."""
    if not node.level:
        return node.module
    folders = ["lrsched", *module.split(".")[:-1]]
    above = folders[: len(folders) + 1 - node.level]
    return ".".join([*above, *[node.module] * bool(node.module)])


def room(module):
    """Return the wing that a module of ours belongs to, or the name of a file beside the wings."""
    return module.partition(".")[0]


def fault(module, target, lazy):
    """Return what is wrong with one import in one of our modules, or None."""
    floor = FLOORS[room(module)]
    top, _, rest = target.partition(".")
    if top == "lrsched":
        inner = room(rest) or "__init__"
        if inner not in FLOORS:
            return "has no floor"
        if module == "plot":
            return "plot imports nothing of ours"
        if inner in WINGS and inner == room(module):
            return None
        return None if FLOORS[inner] < floor else f"floor {floor} must not import floor {FLOORS[inner]}"
    if (top, module) in LAZY:
        return None if lazy else f"{top} must be imported inside functions"
    allowed = {*sys.stdlib_module_names, "numpy"} | ({"torch"} if floor >= 2 else set())
    if module == "sequences._pictures":
        allowed.add("PIL")
    return None if top in allowed else f"{top} does not belong on floor {floor}"


def violations(sources):
    """Return "module: target: why" for every import, at any depth, that the layering does not allow."""
    found = [f"{module}: has no floor" for module in sources if room(module) not in FLOORS]
    for module in sources:
        if room(module) in FLOORS:
            for target, lazy in imports(module, sources[module]):
                why = fault(module, target, lazy)
                if why:
                    found.append(f"{module}: {target}: {why}")
    return found


def circles(sources):
    """Return the modules that import themselves by way of others, within a wing or between wings."""
    arrows = {
        module: {
            target.removeprefix("lrsched.")
            for target, _ in imports(module, source)
            if target.removeprefix("lrsched.") in sources
        }
        for module, source in sources.items()
    }
    reached = {module: set(targets) for module, targets in arrows.items()}
    for _ in arrows:
        for found in reached.values():
            found |= {further for target in found for further in arrows[target]}
    return sorted(module for module, found in reached.items() if module in found)


def test_imports_point_down():
    assert violations(SOURCES) == []


def test_imports_make_no_circle():
    assert circles(SOURCES) == []


def test_the_checker_finds_a_planted_circle():
    planted = {
        "sequences._a": "from ._b import x",
        "sequences._b": "from . import _c",
        "sequences._c": "def f():\n    from ._a import y",
        "sequences._d": "from ._a import x",
    }
    assert circles(planted) == ["sequences._a", "sequences._b", "sequences._c"]


@pytest.mark.parametrize(
    ("module", "source", "why"),
    [
        ("sequences._a", "from ..schedulers._groups import read", "floor 1 must not import floor 3"),
        ("sequences._a", "from .. import schedulers", "floor 1 must not import floor 3"),
        ("sequences._a", "import lrsched.schedulers", "floor 1 must not import floor 3"),
        ("sequences._a", "from lrsched.finder import Curve", "floor 1 must not import floor 4"),
        ("sequences._a", "def f():\n    from ..schedulers._rules import Rule", "floor 1 must not import floor 3"),
        ("sequences._a", "if TYPE_CHECKING:\n    from ..finder import Curve", "floor 1 must not import floor 4"),
        ("sequences._a", "import lrsched", "floor 1 must not import floor 5"),
        ("sequences._a", "from lrsched import Inverse", "floor 1 must not import floor 5"),
        ("sequences.__init__", "from ..ensembles import Ensemble", "floor 1 must not import floor 3"),
        ("_check", "from . import _check", "floor 0 must not import floor 0"),
        ("_check", "from .sequences import Inverse", "floor 0 must not import floor 1"),
        ("_functions", "from ._processes import rank", "floor 2 must not import floor 2"),
        ("schedulers._a", "from ..ensembles._ensemble import Ensemble", "floor 3 must not import floor 3"),
        (
            "schedulers._a",
            "import importlib\nimportlib.import_module('lrsched.finder._sweep')",
            "floor 3 must not import floor 4",
        ),
        ("comparison._a", "from ..finder._curve import Curve", "floor 4 must not import floor 4"),
        ("comparison._a", "from .. import SequenceLR", "floor 4 must not import floor 5"),
        ("comparison._a", "from ..novel import f", "has no floor"),
        ("novel", "", "has no floor"),
        ("sequences._a", "import torch", "torch does not belong on floor 1"),
        (
            "sequences._a",
            "class A:\n    def f(self):\n        from torch import nn",
            "torch does not belong on floor 1",
        ),
        ("sequences._pictures", "import torch.nn.functional as F", "torch does not belong on floor 1"),
        ("sequences._pixels", "from PIL import Image", "PIL does not belong on floor 1"),
        ("schedulers._a", "def f():\n    import matplotlib.pyplot", "matplotlib does not belong on floor 3"),
        ("plot", "from matplotlib import pyplot", "matplotlib must be imported inside functions"),
        (
            "plot",
            "try:\n    import matplotlib\nexcept ImportError:\n    pass",
            "matplotlib must be imported inside functions",
        ),
        ("plot", "if not TYPE_CHECKING:\n    import matplotlib", "matplotlib must be imported inside functions"),
        ("plot", "from ._check import number", "plot imports nothing of ours"),
        ("comparison._a", "from tqdm.auto import tqdm", "tqdm does not belong on floor 4"),
        ("comparison._report", "def f():\n    import pandas", "pandas does not belong on floor 4"),
        ("comparison._data_frame", "import pandas", "pandas must be imported inside functions"),
        ("__main__", "def f():\n    import tqdm", "tqdm does not belong on floor 6"),
        ("__main__", "__import__('rich')", "rich does not belong on floor 6"),
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
        ("sequences._a", "import math\nimport numpy as np\nfrom .._check import number\nfrom .. import _check, plot"),
        ("sequences._a", "from . import _decays\nfrom ._sequence import Sequence"),
        ("sequences._pictures", "from PIL import Image\nfrom ._sequence import Sequence"),
        ("plot", "def f():\n    import matplotlib.pyplot as plt\n    import numpy"),
        ("plot", "if TYPE_CHECKING:\n    from matplotlib.axes import Axes"),
        ("schedulers._a", "import torch\nfrom ._groups import write\nfrom ..sequences import Inverse"),
        ("__main__", "from lrsched import Inverse\nfrom . import plot\nfrom .sequences._pixels import Pixels"),
    ],
)
def test_the_checker_lets_downward_imports_pass(module, source):
    assert violations({module: source}) == []


# ---------------------------------------------------------------- files and names


@pytest.mark.parametrize("module", sorted(module for module in SOURCES if not module.endswith("__init__")))
def test_every_module_has_its_test_file(module):
    *wing, name = module.split(".")
    assert TESTS.joinpath(*wing, f"test_{name.strip('_')}.py").is_file()


def test_wings_are_one_level_deep():
    assert max(len(module.split(".")) for module in SOURCES) == 2


def test_few_files_lie_beside_the_wings():
    assert len([path for path in PACKAGE.iterdir() if path.is_file()]) <= 9


def test_the_package_is_typed():
    assert (PACKAGE / "py.typed").is_file()


def test_no_module_bears_the_name_of_a_public_one():
    assert {part for module in SOURCES for part in module.split(".")} & set(lrsched.__all__) == set()
    for module in SOURCES.keys() - {"__init__", "__main__"}:
        assert isinstance(importlib.import_module(f"lrsched.{module}"), ModuleType)


def test_init_holds_nothing_but_imports_all_version_and_the_loop_over_all():
    docstring, *rest = ast.parse(SOURCES["__init__"]).body
    assert isinstance(docstring, ast.Expr)
    assert isinstance(docstring.value, ast.Constant)
    assigned = []
    *rest, loop = rest
    assert ast.unparse(loop).startswith("for _name in __all__:\n")
    for node in rest:
        if isinstance(node, ast.ImportFrom):
            assert "*" not in [alias.name for alias in node.names]
        elif not isinstance(node, ast.Import):
            assert isinstance(node, ast.Assign), ast.unparse(node)
            assigned += [ast.unparse(target) for target in node.targets]
            ast.literal_eval(node.value)
    assert sorted(assigned) == ["__all__", "__version__"]


def test_the_map_names_every_wing():
    for wing in WINGS:
        assert f"    {wing}/ " in lrsched.__doc__


WORDS = {
    name
    for name in lrsched.__all__
    if typing.get_origin(getattr(lrsched, name)) in (typing.Literal, typing.Union, UnionType)
}
SEQUENCES = """Sequence Schedule Constant Inverse InverseSqrt InverseTime Geometric Sawtooth Exponential StepDecay
TimeDecay Triangular Ramp Cosine Linear Polynomial Warmup CosineRestarts OneCycle WarmupStableDecay Piecewise Values
Function Pixels parse by_name"""
RULES = "Rule Cutoff Oscillation Patience Event preview"
SCHEDULERS = """SequenceLR InverseLR InverseSqrtLR GeometricLR SawtoothLR ExponentialDecayLR StepDecayLR TimeDecayLR
ImageLR CyclicLR PlateauSequence"""


def test_all_is_sorted_and_without_doubles():
    assert list(lrsched.__all__) == sorted(set(lrsched.__all__))


@pytest.mark.parametrize("name", f"{SEQUENCES} {RULES} {SCHEDULERS}".split())
def test_all_holds_every_public_name(name):
    assert name in lrsched.__all__


def test_every_name_in_all_is_ours_and_bears_that_name():
    assert lrsched.Schedule is lrsched.Sequence
    for name in set(lrsched.__all__) - WORDS - {"Schedule"}:
        thing = getattr(lrsched, name)
        assert thing.__name__ == name
        assert thing.__module__ == "lrsched", name


def test_every_option_that_is_a_word_has_a_public_type():
    """The words that `choice` accepts in any module are the `get_args` of a public type."""
    called = set()
    for source in SOURCES.values():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "choice":
                words = node.args[2]
                called.add(ast.unparse(words.args[0]) if isinstance(words, ast.Call) else ast.unparse(words))
    assert called - {"('auto',)", "('auto', *get_args(Sync))"} <= WORDS
    assert len(called) > 10


def test_pickles_name_what_users_import():
    sequence = lrsched.Inverse()
    assert b"clrsched\nInverse\n" in pickle.dumps(sequence, protocol=0)
    assert pickle.loads(pickle.dumps(sequence)) == sequence


def test_every_public_class_of_a_public_kind_is_in_all():
    kinds = lrsched.Sequence, lrsched.Rule, torch.optim.lr_scheduler.LRScheduler
    for module in SOURCES.keys() - {"__init__", "__main__"}:
        for name, thing in vars(importlib.import_module(f"lrsched.{module}")).items():
            ours = isinstance(thing, type) and thing.__module__.partition(".")[0] == "lrsched"
            if ours and issubclass(thing, kinds) and not name.startswith("_"):
                assert name in lrsched.__all__, f"lrsched.{module}.{name}"
