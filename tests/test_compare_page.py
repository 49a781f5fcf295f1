"""docs/compare.md: its blocks run, and do what they say."""

import re
from pathlib import Path

PAGE = (Path(__file__).parent.parent / "docs" / "compare.md").read_text(encoding="utf-8")


def test_a_loader_is_trained_side_by_side(capsys):
    (block,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(block, {"__name__": "__main__"})
    assert capsys.readouterr().out == "side by side\n"
    assert block.endswith("# side by side\n")
