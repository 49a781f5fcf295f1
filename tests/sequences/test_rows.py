import numpy as np
import pytest

from lrsched.sequences._rows import white


@pytest.mark.parametrize(
    ("dtype", "value"), [("uint8", 255.0), ("uint16", 65535.0), ("float32", 1.0), ("float64", 1.0), (">u2", 65535.0)]
)
def test_white_is_the_greatest_integer_or_one(dtype, value):
    assert white(np.zeros((1, 2, 3), dtype)) == value
