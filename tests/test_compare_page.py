"""docs/compare.md: the block with a DataLoader runs, and does what it says."""

import re
from pathlib import Path

PAGE = (Path(__file__).parent.parent / "docs" / "compare.md").read_text(encoding="utf-8")


def test_a_loader_is_trained_side_by_side(capsys):
    (block,) = (block for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "DataLoader(" in block)
    exec(block, {"__name__": "__main__"})
    assert capsys.readouterr().out == "side by side\n"
    assert block.endswith("# side by side\n")
