"""Whether two computations give the same results: equal except for rounding, with the same random numbers drawn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

Per = Literal["tensor", "member", "element"]


def same(
    found: Tensor | None,
    expected: Tensor | None,
    *,
    per: Per = "tensor",
    relative: float | None = None,
    absolute: float | None = None,
    skip_nonfinite: bool = False,
    none_is_zero: bool = False,
) -> bool:
    """Return whether two results are equal except for rounding: ‖found − expected‖ ≤ relative·‖expected‖ + absolute.

    Only real floating-point numbers may differ by rounding; all others must be equal exactly. None equals only None.

    Args:
        found: the result to judge.
        expected: the result to judge it by, of the same shape.
        per: what each norm is taken over: the whole tensor, each element, or each member. A member is an index of the
            first axis; with "member", a large one does not hide a difference in a small one.
        relative: the relative tolerance; by default `tolerance` of the dtype of `found`.
        absolute: the absolute tolerance; by default relative².
        skip_nonfinite: leave out entries that are NaN or infinite in either result. By default, such an entry makes the
            results different, even if both have it.
        none_is_zero: None also equals exact zeros: both are gradients of a loss that does not depend on the parameter.
    """
    if found is None or expected is None:
        return _both_missing(found, expected, none_is_zero)
    if not (found.is_floating_point() and expected.is_floating_point()):
        return torch.equal(found, expected)
    if found.shape != expected.shape:
        return False
    relative = tolerance(found.dtype) if relative is None else relative
    absolute = relative**2 if absolute is None else absolute
    left, right = _rows(found, per), _rows(expected, per)
    finite = left.isfinite() & right.isfinite()
    if not (skip_nonfinite or finite.all()):
        return False
    difference = torch.where(finite, left - right, 0.0).norm(dim=1)
    size = torch.where(finite, right, 0.0).norm(dim=1)
    return bool((difference <= relative * size + absolute).all())


def tolerance(dtype: torch.dtype) -> float:
    """Return 10·√ε, the largest relative difference of results of this dtype that counts as rounding."""
    return float(10 * torch.finfo(dtype).eps ** 0.5)


def random_state(device: torch.device) -> Callable[[], None]:
    """Return a function that resets torch's random generators, the CPU's and the device's, to their present state."""
    on_cpu = torch.get_rng_state()
    on_gpu = torch.cuda.get_rng_state(device) if device.type == "cuda" else None

    def rewind() -> None:
        torch.set_rng_state(on_cpu)
        if on_gpu is not None:
            torch.cuda.set_rng_state(on_gpu, device)

    return rewind


def _both_missing(found: Tensor | None, expected: Tensor | None, none_is_zero: bool) -> bool:
    present = expected if found is None else found
    if present is None:
        return True
    return none_is_zero and not present.any()


def _rows(tensor: Tensor, per: Per) -> Tensor:
    """Return the tensor with one row per norm, in double precision so that squares of float32 cannot overflow."""
    shapes = {"tensor": (1, -1), "member": (len(tensor) if tensor.ndim else 1, -1), "element": (-1, 1)}
    return tensor.detach().double().reshape(shapes[per])
