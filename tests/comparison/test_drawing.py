import numpy as np
import pytest

from lrsched.comparison._drawing import draw_comparison


def test_a_mean_is_taken_over_the_runs_that_are_left():
    above, below = draw_comparison({"a": [[1.0, np.nan], [3.0, 2.0]]}, {"a": [[0.1, 0.1], [0.1, 0.05]]})
    assert above.lines[-1].get_ydata().tolist() == [2.0, 2.0]
    assert below.lines[-1].get_ydata().tolist() == pytest.approx([0.1, 0.075])


@pytest.mark.parametrize(
    ("losses", "lrs"),
    [({}, {}), ({"a": [[1.0]]}, {"b": [[1.0]]}), ({"a": [[1.0, 2.0]]}, {"a": [[1.0]]}), ({"a": [1.0]}, {"a": [1.0]})],
)
def test_other_labels_or_shapes_are_refused(losses, lrs):
    with pytest.raises(ValueError, match="losses and lrs must have the same labels and shapes"):
        draw_comparison(losses, lrs)
