"""Run docs/tour.ipynb again and store its outputs, with smaller pictures.

python docs/tour.py
"""

import base64
import io
import re
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from PIL import Image

PATH = Path(__file__).with_suffix(".ipynb")
COLOURS = 48  # of a picture's palette: a quarter of the size, and it looks the same
ENCODED = re.compile(r"(?<=data:image/png;base64,)[A-Za-z0-9+/=\n]+")


def read():
    """Return the notebook as it is stored."""
    return nbformat.read(PATH, as_version=4)


def executed():
    """Return the notebook after running every cell in a new kernel. Raises CellExecutionError if a cell raises."""
    notebook = read()
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(PATH.parent)}}).execute()
    return notebook


def shrink(output):
    """Give the pictures of an output a palette."""
    data = output.get("data", {})
    if "image/png" in data:
        data["image/png"] = smaller(data["image/png"])
    if "text/html" in data:
        data["text/html"] = ENCODED.sub(lambda found: smaller(found[0]), data["text/html"])


def smaller(encoded):
    """Return a picture in base64 with a palette."""
    image = Image.open(io.BytesIO(base64.b64decode(encoded))).convert("RGB")
    written = io.BytesIO()
    image.quantize(COLOURS).save(written, "png", optimize=True)
    return base64.b64encode(written.getvalue()).decode()


def main():
    """Run the notebook and write it."""
    notebook = executed()
    notebook.metadata = {"kernelspec": notebook.metadata["kernelspec"]}
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # the times of the last run
        for output in cell.get("outputs", []):
            shrink(output)
    nbformat.write(notebook, PATH)


if __name__ == "__main__":
    main()
