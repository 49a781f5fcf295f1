"""The grammar of expressions, read with a call that only records what it is given."""

import pytest

from lrsched import Inverse
from lrsched.sequences._expression import evaluate, number_from


def read(text):
    """Return the value of an expression, and the calls in it."""
    calls = []

    def call(owner, name, arguments, options):
        calls.append((owner is not None, name, arguments, options))
        return Inverse()

    return evaluate(text, call, "sequences"), calls


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        (" ( 3 ) ", 3),
        ("((3))", 3),
        ("10_000", 10_000),
        ("3.", 3.0),
        (".5", 0.5),
        ("-2.5e-3", -0.0025),
        ("1E+5", 1e5),
        ("True", True),
        ("None", None),
        ("[]", []),
        ("()", []),
        ("(3,)", [3]),
        ("[1, (2, 3), [-4,],]", [1, [2, 3], [-4]]),
        ("'a b'", "a b"),
        ('"it\'s"', "it's"),
        (r"'it\'s C:\\x'", r"it's C:\x"),
        ("'Inverse() # <'", "Inverse() # <"),
    ],
)
def test_literals(text, value):
    found, calls = read(text)
    assert (found, type(found), calls) == (value, type(value), [])


def test_calls():
    assert read("Inverse()")[1] == [(False, "Inverse", [], {})]
    assert read("f(1, [2], 'x', a=None, b=(3,))")[1] == [(False, "f", [1, [2], "x"], {"a": None, "b": [3]})]
    assert read("f ( a = 1 , )")[1] == [(False, "f", [], {"a": 1})]
    assert read("f().g(2).h(x=3)")[1] == [(False, "f", [], {}), (True, "g", [2], {}), (True, "h", [], {"x": 3})]
    assert read("(f()).g()")[1] == [(False, "f", [], {}), (True, "g", [], {})]


def test_products():
    assert read("f() * g()")[0] == Inverse() * Inverse()
    assert read("2 * f() * 3")[0] == (2 * Inverse()) * 3
    assert read("f() * (g() * h())")[0] == Inverse() * (Inverse() * Inverse())
    assert [name for _, name, _, _ in read("f() * g().h() * (k()).m()")[1]] == ["f", "g", "h", "k", "m"]


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("f() g()", "g()"),
        ("f()()", "()"),
        ("f() + g()", "+ g()"),
        ("f() ** 2", "* 2"),
        ("2 * 3", "* 3"),
        ("[f()] * 3", "* 3"),
        ("-f()", "f()"),
        ("--1", "-1"),
        ("f(*[1])", "*[1])"),
        ("f(**x)", "**x)"),
        ("f(a=1, 2)", "2)"),
        ("f(1 2)", "2)"),
        ("f(,)", ",)"),
        ("[1,,2]", ",2]"),
        ("f(1]", "]"),
        ("f", "f"),
        ("f.g", "f.g"),
        ("f.g()", "f.g()"),
        ("f().", "."),
        ("f().g", ".g"),
        ("f().2()", ".2()"),
        ("(3).g()", ".g()"),
        ("f(x)[0]", "x)[0]"),
        ("f() if True else g()", "if True else g()"),
        ("lambda: 3", ": 3"),
        ("f'{1}'", "f'{1}'"),
        ("r'x'", "r'x'"),
        ("'a' 'b'", "'b'"),
        ("{}", "{}"),
        ("f(x:=1)", ":=1)"),
        ("1 # comment", "# comment"),
        ("0x10", "x10"),
        ("1.5.5", ".5"),
        ("1j", "j"),
        ("'\\n'", "'\\\\n'"),
        ("'two\nlines'", "'two\\nlines'"),
        ("...", "..."),
        ("@f()", "@f()"),
        ("f();g()", ";g()"),
        ("\0", "\\x00"),
        ("f(\ud800)", "\\ud800)"),
    ],
)
def test_refuses_what_the_grammar_does_not_hold_and_shows_where(text, rest):
    with pytest.raises(ValueError, match=r"^cannot read .*: only sequences are allowed$") as error:
        read(text)
    assert str(error.value).split(": only")[0].removeprefix("cannot read ")[1:-1].replace('"', "'") == rest


@pytest.mark.parametrize("text", ["", " ", "f(", "f(1", "f(1,", "f(a=", "[1", "(", "2 *", "-"])
def test_says_that_a_text_ends_too_early(text):
    message = r"^cannot read the expression: it ends too early; is a bracket or a quote not closed\?$"
    with pytest.raises(ValueError, match=message):
        read(text)


def test_a_keyword_argument_is_given_once():
    with pytest.raises(ValueError, match=r"^argument 'a' is given twice$"):
        read("f(a=1, a=2)")


def test_depth_and_calls_are_limited():
    assert read("(" * 99 + "3" + ")" * 99)[0] == 3
    with pytest.raises(ValueError, match=r"^the expression must be nested at most 100 deep$"):
        read("(" * 100 + "3" + ")" * 100)
    assert len(read("f()" + ".g()" * 9_999)[1]) == 10_000
    for text in ("f()" + ".g()" * 10_000, "[" + "f()," * 10_001 + "]"):
        with pytest.raises(ValueError, match=r"^the expression must have at most 10000 calls and products$"):
            read(text)


def test_numbers():
    assert [number_from(word) for word in ("7", "-7", "+7", "1_0", "7.0", "1e3", ".5")] == [7, -7, 7, 10, 7.0, 1e3, 0.5]
    assert [type(number_from(word)) for word in ("7", "7.0", "1e3")] == [int, float, float]
    assert number_from("9" * 4300) == 10**4300 - 1
    with pytest.raises(ValueError, match=r"^a number must have at most 4300 digits, got '99999999999999999999'…$"):
        number_from("9" * 4301)
    for word in ("", "x", "1__0", "_1", "1.5.5"):
        with pytest.raises(ValueError, match=r"invalid literal|could not convert"):
            number_from(word)
