"""Turns a notebook with its outputs into a page of Markdown and pictures.

mkdocs then checks its links, searches it and shows it like every other page, without scripts from other hosts.
"""

import base64
import html
import json
import re

EMBEDDED = re.compile(r'<img (?:width="(\d+)" )?(?:(?!src=)[^>])*src="data:image/png;base64,([^"]+)"[^>]*>')


def page(notebook, name):
    """Return a notebook (its text, as JSON) as Markdown, and its pictures by file name."""
    parts, pictures = [], {}

    def picture(encoded, width=None):
        file = f"{name}-{len(pictures) + 1}.png"
        pictures[file] = base64.b64decode(encoded)
        size = f"{{ width={width} }}" if width else ""
        return f"![Picture {len(pictures)}: what the cell above draws]({file}){size}"

    for cell in json.loads(notebook)["cells"]:
        source = "".join(cell["source"])
        parts.append(f"```python\n{source}\n```" if cell["cell_type"] == "code" else source)
        parts += [shown(output, picture) for output in cell.get("outputs", [])]
    return "\n\n".join(parts) + "\n", pictures


def shown(output, picture):
    """Return the richest form of an output that a page can show."""
    data = output.get("data", {"text/plain": output.get("text", "")})
    if "image/png" in data:
        return picture("".join(data["image/png"]))
    if "text/markdown" in data:
        return "".join(data["text/markdown"])
    if "text/html" in data:
        found = EMBEDDED.search("".join(data["text/html"]))
        return picture(found[2], found[1]) if found else f'<div class="output">{"".join(data["text/html"])}</div>'
    text = html.escape("".join(data["text/plain"]).rstrip("\n"), quote=False)
    return f'<pre class="output">{text}</pre>'
