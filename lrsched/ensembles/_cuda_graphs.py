"""Recordings: a function of tensors goes in; out comes what it gives, on a GPU by replaying a CUDA graph.

A model's forward and backward pass launches hundreds of kernels, and small ones take less time than their launch. A
graph launches all at once.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_unflatten

from .._check import first_line

WARM_UP = 3  # ordinary calls, in which libraries choose their kernels, before a recording
CHECK = 1000  # calls from one check of a recording against an ordinary call to the next
KEPT = 8  # recordings at most: training, validation and what else is measured, and the last batch of each
MADE = 32  # recordings after which it does not pay: the batches are of ever other sizes

_NOT = "not recorded as a CUDA graph"


class Recordings:
    """Calls functions; one that is called again and again with tensors of the same kinds is recorded and replayed.

    Its outputs, tensors with a leading members axis, are then overwritten by the next call. Everything else that the
    function reads must stay where it is in memory, and what it does must not depend on anything that changes outside
    tensors. That is checked when recorded and once more, on other numbers; a difference ends all recording. With
    `watch` the first output is checked every 1,000 calls as well, where a difference is a RuntimeError, since the calls
    before may have been wrong.
    """

    def __init__(self) -> None:
        self._problem: str | None = None
        self._recorded = False
        self._made = 0
        self._entries: OrderedDict[Any, _Entry] = OrderedDict()

    @property
    def problem(self) -> str | None:
        """Why calls are not replayed; None where they are."""
        return self._problem if self._problem or self._recorded else f"{_NOT}: too few calls on a GPU are alike"

    def clear(self) -> None:
        """Forget all recordings: what they read has moved."""
        self._entries.clear()
        self._made = 0

    def __call__(
        self, key: tuple[Any, ...], owner: Any, function: Callable[..., Any], *inputs: Any, watch: bool
    ) -> Any:
        """Return function(*inputs), which `key` and `owner`, the user's part of the function, tell from others."""
        leaves, tree = tree_flatten(inputs)
        if self._problem or not leaves or not all(recordable(leaf) for leaf in leaves):
            return function(*inputs)
        entry = self._entry((*key, _hashable(owner), tree, *((leaf.shape, leaf.dtype) for leaf in leaves)), owner)
        since = entry.calls - WARM_UP - 1
        if since < 0:
            return self._ordinary(function, inputs)
        if since < 2 or (watch and since % CHECK == 0):
            return self._checked(entry, since < 2, function, leaves, tree, inputs)
        return entry.replay(leaves)

    def _entry(self, key: Any, owner: Any) -> _Entry:
        entry = self._entries.pop(key) if key in self._entries else _Entry(owner)
        self._entries[key] = entry  # the last used is the last dropped
        if len(self._entries) > KEPT:
            self._entries.popitem(last=False)
        entry.calls += 1
        return entry

    def _ordinary(self, function: Callable[..., Any], inputs: tuple[Any, ...]) -> Any:
        """Return function(*inputs), without all recordings if both do not fit into memory."""
        try:
            return function(*inputs)
        except torch.OutOfMemoryError:
            if all(entry.replay is None for entry in self._entries.values()):
                raise
        self._give_up("its memory is needed")
        return function(*inputs)

    def _checked(
        self,
        entry: _Entry,
        first: bool,
        function: Callable[..., Any],
        leaves: list[Tensor],
        tree: Any,
        inputs: tuple[Any, ...],
    ) -> Any:
        """Return what an ordinary call gives, or a replay if that is the same."""
        before = random_state(leaves[0].device)
        expected = self._ordinary(function, inputs)
        after = random_state(leaves[0].device)
        if self._problem:
            return expected
        try:
            if entry.replay is None:
                self._made += 1
                entry.replay = _recorded(function, leaves, tree)
            before()
            found = entry.replay(leaves)
            results = [*zip(tree_flatten(found)[0], tree_flatten(expected)[0], strict=True)]
            same = all(_alike(*pair) for pair in results[: None if first else 1])
        except Exception as error:  # whatever a function does that a graph cannot do
            if not first:
                raise
            self._give_up(first_line(error))
        else:
            if same and self._made <= MADE:
                self._recorded = True
                return found
            if not same and not first:
                raise RuntimeError(
                    "a recorded pass no longer gives what the model and the function give when called: they depend on "
                    "something besides weights and batch that has changed; pass record=False, or to compare() "
                    "vectorize=False"
                )
            self._give_up("it gives other results" if not same else "batches are of too many sizes")
        after()
        return expected

    def _give_up(self, why: str) -> None:
        self._problem = f"{_NOT}: {why}"
        self._entries.clear()


class _Entry:
    """How often a function was called, and its recording; it keeps alive what the key may name by its id."""

    def __init__(self, owner: Any) -> None:
        self.owner = owner
        self.calls = 0
        self.replay: Any = None


def _hashable(owner: Any) -> Hashable:
    try:
        hash(owner)
    except TypeError:
        return id(owner)
    return owner  # type: ignore[no-any-return]


def _recorded(function: Callable[..., Any], leaves: list[Tensor], tree: Any) -> Callable[[list[Tensor]], Any]:
    """Return what copies other tensors into the places of these, replays the function, and returns its outputs."""
    held = [leaf.detach().clone() for leaf in leaves]
    outputs, launch = record(lambda: function(*tree_unflatten(held, tree)), held[0].device)

    def replay(leaves: list[Tensor]) -> Any:
        for place, leaf in zip(held, leaves, strict=True):
            place.copy_(leaf)
        launch()
        return outputs

    return replay


def recordable(leaf: Any) -> bool:
    """Return whether a recording may take this as an input."""
    return isinstance(leaf, Tensor) and leaf.is_cuda


def record(function: Callable[[], Any], device: torch.device) -> tuple[Any, Callable[[], None]]:
    """Record what a function launches on a GPU; return its outputs, not yet computed, and what computes them."""
    graph = torch.cuda.CUDAGraph()

    def launch() -> None:
        with torch.cuda.device(device):
            graph.replay()

    with torch.cuda.device(device):
        present = torch.cuda.current_stream(device)
        stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # torch's own is of one GPU
        try:
            with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
                outputs = function()
        except BaseException:  # torch's random generator still waits for the end of a capture that failed
            empty = torch.cuda.CUDAGraph()
            with suppress(RuntimeError), torch.cuda.graph(empty, stream=stream, capture_error_mode="thread_local"):
                torch.zeros(1, device=device)
            raise
        finally:
            torch.cuda.set_stream(present)  # a capture that fails leaves its own behind
    return outputs, launch


def random_state(device: torch.device) -> Callable[[], None]:
    """Return what goes back to torch's present random state."""
    on_cpu, on_device = torch.get_rng_state(), torch.cuda.get_rng_state(device) if device.type == "cuda" else None

    def rewind() -> None:
        torch.set_rng_state(on_cpu)
        if on_device is not None:
            torch.cuda.set_rng_state(on_device, device)

    return rewind


def tolerance(dtype: torch.dtype) -> float:
    """Return how far apart, relatively, two results may be that differ by rounding alone."""
    return float(10 * torch.finfo(dtype).eps ** 0.5)


def _alike(ours: Any, theirs: Any) -> bool:
    """Return whether two results are the same but for rounding, member by member; what is not finite does not count."""
    if not isinstance(theirs, Tensor) or not theirs.is_floating_point():
        return torch.equal(ours, theirs) if isinstance(theirs, Tensor) else ours is theirs
    members = len(theirs) if theirs.ndim else 1
    ours, theirs = (each.detach().reshape(members, -1).double() for each in (ours, theirs))
    usable = ours.isfinite() & theirs.isfinite()
    apart, size = (torch.where(usable, each, 0.0).norm(dim=1) for each in (ours - theirs, theirs))
    allowed = tolerance(torch.float32)
    return bool((apart <= allowed * (size + allowed)).all())
