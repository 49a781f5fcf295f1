"""Hooks of the site: pages from outside docs/, and links that work both on GitHub and on the site.

A page of the site keeps its path in the repository, without `docs/` in front; only README.md becomes the first page.
Links are written for GitHub, relative to the file. Here they are turned into links to pages of the site, if the file is
one, and otherwise into links to the repository. A link to a file that does not exist is a warning, which `--strict`
turns into an error.

The line "[…](../README.md#…) <!-- table: NAME -->" becomes the README's table whose first heading begins with NAME.
"""

import importlib.util
import logging
import posixpath
import re
from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[2]
HOME = "index.md"
ADDED = (  # paths in the repository, outside docs/
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "benchmarks/README.md",
    "benchmarks/results/claims.md",
    "benchmarks/results/**/*.md",
    "benchmarks/results/**/*.png",
)
HOME_ENDS = "\n## Why"  # the first page shows the README up to this heading; other pages have the rest
HOME_NEXT = """
**Next:** [getting started](docs/getting_started.md) · [a tour in ten minutes](docs/tour.ipynb) ·
[recipes](docs/recipes.md) · [which schedule?](docs/which_schedule.md) ·
[the change in your framework](docs/swap.md) · [what your schedules are called here](docs/coming_from.md) ·
[find a rate](docs/finder.md) · [compare](docs/compare.md) · [reference](docs/reference/index.md)
"""
LINK = re.compile(r"(?<=\]\()(?!\w+:|#)([^)#\s]+)(#[^)\s]*)?(?=\))")
TABLE = re.compile(r"^\[.*\]\(.*\) <!-- table: (\w+) -->$", re.MULTILINE)
CODE = re.compile(r"^(```.*?^```|~~~.*?^~~~)$|(`+)[^`].*?\2", re.MULTILINE | re.DOTALL)
log = logging.getLogger("mkdocs.hooks")
spec = importlib.util.spec_from_file_location("notebooks", Path(__file__).with_name("notebooks.py"))
notebooks = importlib.util.module_from_spec(spec)
spec.loader.exec_module(notebooks)


def on_files(files, config):
    """Add the pages and pictures that are not in docs/."""
    for pattern in ADDED:
        for path in sorted(ROOT.glob(pattern)):
            name = path.relative_to(ROOT).as_posix()
            if files.get_file_from_path(site_path(name)) is None:
                files.append(File.generated(config, site_path(name), abs_src_path=str(path)))
    for path in sorted((ROOT / "docs").glob("*.ipynb")):
        page, pictures = notebooks.page(path.read_text(encoding="utf-8"), path.stem)
        for name, content in {f"{path.stem}.md": page, **pictures}.items():
            files.append(File.generated(config, name, content=content))
    return files


def on_page_markdown(markdown, page, config, files):
    """Cut the first page, and turn links to files into links to pages or to the repository."""
    source = in_repository(page.file.src_uri)
    markdown = TABLE.sub(lambda line: table(line[1]) or line[0], markdown)
    if source == "README.md":
        markdown = home(markdown)
        page.meta |= {"title": config.site_name, "hide": ["navigation", "toc"]}

    def linked(match):
        path, anchor = match.group(1), match.group(2) or ""
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        if files.get_file_from_path(site_path(target)) is not None and not (target == "README.md" and anchor):
            return posixpath.relpath(site_path(target), posixpath.dirname(page.file.src_uri) or ".") + anchor
        if not (ROOT / target).exists():
            log.warning("%s links to %s, which does not exist", source, path)
        kind = "tree" if (ROOT / target).is_dir() else "blob"
        return f"{config.repo_url.rstrip('/')}/{kind}/main/{target}{anchor}"

    return outside_code(markdown, lambda text: LINK.sub(linked, text))


def site_path(path):
    """Return the path on the site of a file of the repository."""
    return HOME if path == "README.md" else path.removeprefix("docs/").replace(".ipynb", ".md")


def in_repository(path):
    """Return the path in the repository of a page of the site."""
    if path == HOME:
        return "README.md"
    return path if (ROOT / path).exists() else f"docs/{path}"


def home(readme):
    """Return the part of the README that the first page shows, with links to the other pages."""
    begin, found, _ = readme.partition(HOME_ENDS)
    if not found:
        log.warning("README.md has no heading %r, where the first page of the site should end", HOME_ENDS.strip())
    return begin + HOME_NEXT


def table(name):
    """Return the table of the README whose first heading begins with the name, or None."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.search(rf"^\| {re.escape(name)}\b.*\n(?:\|.*\n)+", readme, re.MULTILINE)
    if found is None:
        log.warning("README.md has no table that begins with %r", name)
    return found and found[0]


def outside_code(markdown, change):
    """Apply a function to the text between blocks and spans of code."""
    parts, end = [], 0
    for code in CODE.finditer(markdown):
        parts += [change(markdown[end : code.start()]), code.group()]
        end = code.end()
    return "".join([*parts, change(markdown[end:])])
