"""Prepares docstrings for the reference: sections and examples as mkdocstrings reads them, and links to public names.

Docstrings here may describe several arguments in one entry ("optimizer, sequence: …"), group arguments under titles of
their own, and end with an example without a heading. mkdocstrings expects one word per entry, the heading "Args:" and
the heading "Examples:".
"""

import re
import textwrap
from pathlib import Path

import griffe

TITLE = re.compile(r"^(?!(?:Args|Attributes|Raises|Yields):)([A-Z][\w ,-]*(?:\(.*\))?):\n(?=    \w+(?:, \w+)*: )", re.M)
ENTRY = re.compile(r"^    (\w+(?:, \w+)+): ", re.M)
EXAMPLE = re.compile(r"^>>> ", re.M)
NAME = re.compile(r"(?<![`\w\[])`(\w+)`(?![`\]])")
PUBLIC = set(re.findall(r'^    "(\w+)",$', Path("lrsched/__init__.py").read_text(encoding="utf-8"), re.M))
NO_BREAK = ",\N{NO-BREAK SPACE}"  # an entry's name ends at the first ordinary space


class Docstrings(griffe.Extension):
    """Rewrites every docstring after it was read."""

    def on_object(self, *, obj, **_):
        """Rewrite the docstring of a class, function or attribute."""
        if obj.docstring is not None and not obj.is_module:
            obj.docstring.value = prepared(obj.docstring.value, obj.name)


def prepared(docstring, name):
    """Return the docstring of the object with this name as mkdocstrings reads it."""
    example = EXAMPLE.search(docstring)
    begin = example.start() if example else len(docstring)
    text = TITLE.sub(r"Args: \1\n", docstring[:begin])
    text = ENTRY.sub(lambda entry: f"    {entry[1].replace(', ', NO_BREAK)}: ", text)
    text = NAME.sub(lambda code: linked(code, name), text)
    return text + ("Examples:\n" + textwrap.indent(docstring[begin:], "    ") if example else "")


def linked(code, name):
    """Return a link to the public name in a span of code, unless it is the object itself."""
    return f"[{code[0]}][lrsched.{code[1]}]" if code[1] in PUBLIC - {name} else code[0]
