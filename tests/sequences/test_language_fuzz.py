"""Whatever text it is given, parse() returns a sequence, or raises ValueError or TypeError, and does so soon."""

import ast
import inspect
import random
import string
import time

import pytest

from lrsched import Sequence, parse
from lrsched.sequences import _expression, _language
from lrsched.sequences._language import COMBINATORS, NAMES
from tests.sequences.cases import COMBINED, PLAIN

TEXTS = 10_000
MARKS = ["**", "//", "<<", ":=", "->", "...", "'''"]
NUMBERS = ["0", "1", "2", "3.5", "-1", "1e308", "1e999", "1_000", "0x10", "1j", "inf", "nan", "9**9**9"]
PYTHON = [
    "True",
    "False",
    "None",
    "true",
    "none",
    "lambda",
    "if ",
    " else ",
    " for ",
    " in ",
    "import ",
    "from ",
    "def ",
]
PYTHON += [
    "class ",
    "await ",
    "yield ",
    "not ",
    " and ",
    " or ",
    " is ",
    "f'{1}'",
    "b'x'",
    "r'\\'",
    "u''",
    "__import__('os')",
]
PYTHON += ["open('/etc/passwd')", "eval", "exec", "os.system", ".__class__", ".__globals__", "._coerce(", ".values("]
KEYWORDS = ["steps=", "start=", "end=", "at=", "values=", "image=", "mode=", "self=", "**kwargs=", "*args"]
WORDS = [
    *[kind.__name__ for kind in NAMES.values()],
    *NAMES,
    *[f".{name}(" for name in COMBINATORS],
    *string.punctuation,
    *" \n\t\0\r",
    *MARKS,
    *NUMBERS,
    *PYTHON,
    *KEYWORDS,
    "Values([1, 0.5])",
    "Inverse()",
    "pixels:/dev/zero,5",
    "Pixels('/dev/stdin', 5)",
    "é",
    "١",
    "\ud800",
    "\u202e",
    "🙂",
    "９",
]
PRINTS = [repr(sequence) for sequence in PLAIN + COMBINED if not repr(sequence).startswith("HalfLife")]


def mutated(text, random):
    """Return a text with a few characters or words put in, left out or repeated."""
    for _ in range(random.randint(1, 4)):
        i, j = sorted(random.randrange(len(text) + 1) for _ in range(2))
        kind = random.randrange(4)
        if kind == 0:
            text = text[:i] + text[j:]
        elif kind == 1:
            text = text[:i] + random.choice(WORDS) + text[i:]
        elif kind == 2:
            text = text[:i] + random.choice(string.printable) + text[i + 1 :]
        else:
            text = text[:j] + text[i:j] * random.randint(1, 3) + text[j:]
    return text


def some_text(random):
    kind = random.randrange(4)
    if kind == 0:
        return "".join(random.choice(WORDS) for _ in range(random.randint(0, 12)))
    if kind == 1:
        return "".join(chr(random.randrange(0x110000)) for _ in range(random.randint(0, 40)))
    if kind == 2:
        words = ",".join(random.choice(WORDS) for _ in range(random.randint(0, 4)))
        return f"{random.choice(list(NAMES))}:{words}"
    return mutated(random.choice(PRINTS), random)


def parsed(text):
    """Return what parse() made or raised. It must not take long: a hang or quadratic work would need far over 5 s."""
    start = time.process_time()
    try:
        result = parse(text)
    except (TypeError, ValueError) as error:
        result = error
    assert time.process_time() - start < 5.0
    return result


def test_ten_thousand_texts_give_a_sequence_or_an_error():
    generator = random.Random(20_190_101)
    kinds = {"made": 0, "refused": 0}
    for _ in range(TEXTS):
        text = some_text(generator)
        result = parsed(text)
        if isinstance(result, Sequence):
            assert parse(repr(result)) == result or "_" in text
            kinds["made"] += 1
        else:
            assert str(result)
            assert len(str(result)) < 1000
            kinds["refused"] += 1
    assert kinds["made"] > 100
    assert kinds["refused"] > 3000


def test_the_reader_has_no_means_to_run_code():
    for module in (_language, _expression):
        names = {node.id for node in ast.walk(ast.parse(inspect.getsource(module))) if isinstance(node, ast.Name)}
        assert names & {"ast", "builtins", "compile", "eval", "exec", "globals", "importlib", "open", "sys"} == set()


CODE = [
    "__import__('os').system('true')",
    "Inverse().__class__.__mro__[1].__subclasses__()",
    "Inverse().__init__.__globals__",
    "().__class__",
    "Values([__import__('os').getpid()])",
    "(lambda: Inverse())()",
    "[Inverse() for _ in (1, 2)][0]",
    "Values([x for x in range(10**9)])",
    "Values(range(10**9))",
    "Values([0] * 10**9)",
    "Values([0, 1] * 1000000000)",
    "Values('1' * 10**9)",
    "Values(f'{1}')",
    "(x := Inverse())",
    "Warmup(9**9**9)",
    "Warmup(1 << 10**9)",
    "Inverse() * 9**9**9",
    "Inverse() if True else Inverse()",
    "open('/etc/passwd')",
    "Pixels(open('/dev/zero'), 5)",
    "Inverse().then(Inverse(), at=exit())",
    "Inverse()\nimport os",
    "Inverse(); Inverse()",
    "Inverse() # comment",
    "await Inverse()",
    "{'a': Inverse()}['a']",
    "Inverse()[0]",
    "\ufeffInverse()",
]
DEEP = {
    "parentheses": "(" * 140_000,
    "closed parentheses": "(" * 70_000 + "Inverse()" + ")" * 70_000,
    "lists": "Values(" + "[" * 140_000,
    "minus": "Warmup(" + "-" * 140_000 + "1)",
    "calls": "Warmup(" * 20_000,
    "then": "Inverse()" + ".then(Inverse(),1)" * 100_000,
    "fewer then": "Inverse()" + ".then(Inverse(),1)" * 4_900,
    "every": "Inverse()" + ".every(1)" * 100_000,
    "fewer every": "Inverse()" + ".every(1)" * 9_000,
    "products": "Inverse()" + "*Inverse()" * 14_000,
    "fewer products": "Inverse()" + "*2" * 9_000,
    "nested then": "Inverse().then(" * 10_000,
    "powers": "9" + "**9" * 40_000,
}
HUGE = {
    "list": "Values([" + "1," * 70_000 + "])",
    "longer list": "Values([" + "0.5," * 10**6 + "])",
    "megabytes": "a" * 5_000_000,
    "megabytes of text": "Warmup('" + "a" * 5_000_000 + "')",
    "escapes": "Warmup('" + "\\'" * 70_000,
    "blanks": " " * 140_000 + "(",
    "integer": "Warmup(" + "9" * 140_000 + ")",
    "integer of 5,000 digits": "Warmup(" + "9" * 5_000 + ")",
    "short integer": "warmup:" + "9" * 140_000,
    "short float": "values:1." + "9" * 140_000 + "/",
    "short list": "values:" + "1/" * 70_000,
    "slashes": "values:" + "/" * 140_000,
    "factor": "Inverse() * " + "9" * 4_000,
    "words": "warmup:" + "a=1," * 35_000,
    "keywords": "Warmup(" + ",".join(f"a{i}=1" for i in range(15_000)) + ")",
    "name": "a" * 140_000 + "()",
    "dots": "Inverse()" + "." * 140_000,
    "underscores": "Warmup(1" + "_" * 140_000 + ")",
    "combining": "e" + "\u0301" * 140_000 + "()",
}


@pytest.mark.parametrize("text", CODE)
def test_code_is_refused(text):
    assert isinstance(parsed(text), (TypeError, ValueError))


def test_a_text_has_a_limited_length():
    assert isinstance(parse("Inverse()" + " " * 149_991), Sequence)
    with pytest.raises(ValueError, match=r"^text must have at most 150000 characters, got 150001$"):
        parse("Inverse()" + " " * 149_992)


@pytest.mark.parametrize("text", [*DEEP.values(), *HUGE.values()], ids=[*DEEP, *HUGE])
def test_deep_and_huge_texts_are_read_or_refused_soon(text):
    result = parsed(text)
    assert isinstance(result, (Sequence, ValueError, TypeError))
    assert len(str(result)[:2000]) < 1000 or isinstance(result, Sequence)


def test_numbers_of_thousands_of_digits_are_read():
    assert parse("Sawtooth(" + "9" * 4000 + ")").period == 10**4000 - 1


@pytest.mark.parametrize("text", ["\0", "Inverse()\0", "Values('\0')", "\ud800", "Values(['\udfff'])", "\udfff()"])
def test_null_bytes_and_surrogates_are_refused(text):
    assert isinstance(parsed(text), (TypeError, ValueError))
    str(parsed(text)).encode()
