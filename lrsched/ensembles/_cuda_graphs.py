"""Recording the passes of a model as CUDA graphs, and replaying them.

A forward and backward pass launches hundreds of kernels, and a small kernel runs for less time than its launch takes. A
CUDA graph launches all of them at once.
"""

from __future__ import annotations

import pickle
import random
from collections import OrderedDict
from collections.abc import Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import TreeSpec, tree_flatten, tree_leaves, tree_unflatten

from .._check import first_line
from ._same import Per, random_state, same, tolerance

WARM_UP = 3  # ordinary calls before a recording, in which libraries choose their kernels
PROOFS = 2  # replays after a recording that are compared with ordinary calls in full
CHECK = 1000  # a watched recording is compared again once in this many calls
KEPT = 8  # recordings held at a time: training, validation and other metrics, each also for the smaller last batch
MADE = 32  # recordings made in all; if more are needed, batch sizes vary too much for recording to pay

Replay = Callable[[list[Tensor]], Any]  # replay(input tensors) -> outputs

_NOT = "not recorded as a CUDA graph"
_CHANGED = (
    "a recorded CUDA graph no longer gives the results of an ordinary call: besides the weights and the batch, the "
    "model or loss_fn depends on something that has changed; pass record=False"
)


class Recordings:
    """Calls functions; records and replays those that are called repeatedly with inputs of the same shapes and dtypes.

    Outputs are tensors; the next replay overwrites them. Besides its inputs, a function may read tensors that stay at
    their addresses in memory; it must not depend on anything else that changes.

    The first two replays are compared with ordinary calls; a difference ends all recording. With `watch`, the first
    output is also compared once in 1,000 calls. A difference found then raises RuntimeError, because earlier replays
    may have been wrong.

    Args:
        held: returns the tensors that functions change in place, such as a model's buffers.
        per: what results are compared over. With "member", outputs have a leading members axis.
    """

    def __init__(self, held: Callable[[], list[Tensor]] = list, per: Per = "member") -> None:
        self._held, self._per = held, per
        self._problem: str | None = None
        self._recorded = False
        self._made = 0
        self._entries: OrderedDict[Hashable, _Entry] = OrderedDict()

    @property
    def problem(self) -> str | None:
        """Why calls are not replayed, or None if they are."""
        if self._problem or self._recorded:
            return self._problem
        return f"{_NOT}: too few similar calls on a GPU"

    @property
    def gave_up(self) -> bool:
        """Whether calls are never replayed again."""
        return self._problem is not None

    def clear(self) -> None:
        """Drop all recordings, because the tensors that they read have moved."""
        self._entries.clear()
        self._made = 0

    def give_up(self, why: str) -> None:
        """Record nothing from now on, for this reason."""
        self._problem = f"{_NOT}: {why}"
        self._entries.clear()

    def __call__(
        self,
        key: tuple[Hashable, ...],
        owner: object,
        function: Callable[..., Any],
        *inputs: Any,
        watch: bool,
        recorded: Callable[..., Any] | None = None,
    ) -> Any:
        """Return function(*inputs). `key` and `owner`, the user's part of the function, identify the function.

        `recorded` does the same in a form that can be recorded; None if the function itself can.
        """
        leaves, tree = tree_flatten(inputs)
        if self._problem or not leaves or not all(recordable(leaf) for leaf in leaves):
            return function(*inputs)
        call = _Call(function, recorded or function, inputs, leaves, tree)
        shapes = ((leaf.shape, leaf.dtype) for leaf in leaves)
        entry = self._entry((*key, _hashable(owner, id), _structure(tree), *shapes), owner)
        since_warm_up = entry.calls - WARM_UP - 1
        if since_warm_up < 0:
            return self._ordinary(call)
        if entry.replay is None or since_warm_up < PROOFS:
            return self._proved(entry, call)
        if watch and since_warm_up % CHECK == 0:
            return self._watched(entry.replay, call)
        return entry.replay(leaves)

    def _entry(self, key: Hashable, owner: object) -> _Entry:
        entry = self._entries.pop(key) if key in self._entries else _Entry(owner)
        self._entries[key] = entry  # at the end: the least recently used entry is dropped first
        if len(self._entries) > KEPT:
            self._entries.popitem(last=False)
        entry.calls += 1
        return entry

    def _ordinary(self, call: _Call) -> Any:
        """Return the results of an ordinary call. If recordings leave too little memory for it, drop them for good."""
        try:
            return call.function(*call.inputs)
        except torch.OutOfMemoryError:
            if all(entry.replay is None for entry in self._entries.values()):
                raise
        self.give_up("too little GPU memory")
        return call.function(*call.inputs)

    def _proved(self, entry: _Entry, call: _Call) -> Any:
        """Record the call if necessary. Return a replay's results, or an ordinary call's if they do not match."""
        device, held = call.leaves[0].device, self._held()
        before = _State(device, held)
        expected = self._ordinary(call)
        after = _State(device, held)
        if self._problem:
            return expected
        problem = after.drawn_since(before)
        try:
            if problem is None:
                if entry.replay is None:
                    self._made += 1
                    entry.replay = call.recorded()
                before.restore()
                found = entry.replay(call.leaves)
                pairs = [*_pairs(found, expected), *zip(held, after.copies, strict=True)]
                matches = all(self._match(*pair) for pair in pairs)
                problem = None if matches else "a replay gives different results"
        except Exception as error:  # the function may do anything that a graph cannot
            problem = first_line(error)
        if problem is None and self._made > MADE:
            problem = "batches have too many different sizes"
        if problem is None:
            self._recorded = True
            return found
        self.give_up(problem)
        after.restore()
        return expected

    def _watched(self, replay: Replay, call: _Call) -> Any:
        """Return a replay's results. Raises RuntimeError if the first differs from an ordinary call's."""
        before = _State(call.leaves[0].device, self._held())
        expected = self._ordinary(call)
        if self._problem:
            return expected
        before.restore()
        found = replay(call.leaves)
        if not self._match(*_pairs(found, expected)[0]):
            raise RuntimeError(_CHANGED)
        return found

    def _match(self, found: Tensor | None, expected: Tensor | None) -> bool:
        """Return whether a replay and an ordinary call agree on an output, at float32's tolerance."""
        return same(found, expected, per=self._per, relative=tolerance(torch.float32), skip_nonfinite=True)


@dataclass
class _Call:
    """A call of a function, with its form for recording, and its inputs as they are and flattened into tensors."""

    function: Callable[..., Any]
    to_record: Callable[..., Any]
    inputs: tuple[Any, ...]
    leaves: list[Tensor]
    tree: TreeSpec

    def recorded(self) -> Replay:
        """Record the call; return a function that copies tensors over the recorded inputs and replays the graph."""
        held = [leaf.detach().clone() for leaf in self.leaves]
        function, inputs = self.to_record, tree_unflatten(held, self.tree)
        outputs, launch = record(lambda: function(*inputs), held[0].device)

        def replay(leaves: list[Tensor]) -> Any:
            for place, leaf in zip(held, leaves, strict=True):
                place.copy_(leaf)
            launch()
            return outputs

        return replay


class _State:
    """What a call may change besides its outputs: random generators, and tensors that it writes into."""

    def __init__(self, device: torch.device, held: list[Tensor]) -> None:
        self.copies = [tensor.detach().clone() for tensor in held]
        self._held = held
        self._rewind = random_state(device)
        self._host = pickle.dumps((random.getstate(), np.random.get_state(legacy=False)))  # noqa: NPY002
        self._torch = torch.get_rng_state() if device.type == "cuda" else torch.empty(0)

    @torch.no_grad()
    def restore(self) -> None:
        self._rewind()
        for tensor, copy in zip(self._held, self.copies, strict=True):
            tensor.copy_(copy)

    def drawn_since(self, before: _State) -> str | None:
        """Return which random numbers were drawn that a replay would not draw anew, or None."""
        if self._host == before._host and torch.equal(self._torch, before._torch):
            return None
        return "the model or loss_fn draws random numbers on the CPU"


class _Entry:
    """How often a function was called, and its recording. Holding `owner` keeps the id in its key from being reused."""

    def __init__(self, owner: object) -> None:
        self.owner = owner
        self.calls = 0
        self.replay: Replay | None = None


def _structure(tree: TreeSpec) -> Hashable:
    """Return the structure of a call's inputs for a key: torch ≤ 2.6 cannot hash that of a dict."""
    return _hashable(tree, str)


def _hashable(value: object, otherwise: Callable[[object], Hashable]) -> Hashable:
    try:
        hash(value)
    except TypeError:
        return otherwise(value)
    return value


def _pairs(found: Any, expected: Any) -> list[tuple[Tensor | None, Tensor | None]]:
    """Return each output of a replay paired with that of an ordinary call, the losses first."""
    return [*zip(tree_leaves(found), tree_leaves(expected), strict=True)]


def recordable(leaf: object) -> bool:
    """Return whether a recording accepts this as an input."""
    return isinstance(leaf, Tensor) and leaf.is_cuda


def record(function: Callable[[], Any], device: torch.device) -> tuple[Any, Callable[[], None]]:
    """Record the kernels that a function launches. Return its outputs, not yet computed, and what computes them."""
    graph = torch.cuda.CUDAGraph()

    def launch() -> None:
        with torch.cuda.device(device):
            graph.replay()

    with torch.cuda.device(device):
        present = torch.cuda.current_stream(device)
        stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # the default is on one GPU only
        try:
            with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
                outputs = function()
        except BaseException:  # a failed capture leaves torch's random generator waiting: an empty capture releases it
            empty = torch.cuda.CUDAGraph()
            with suppress(RuntimeError), torch.cuda.graph(empty, stream=stream, capture_error_mode="thread_local"):
                torch.zeros(1, device=device)
            raise
        finally:
            torch.cuda.set_stream(present)  # a failed capture leaves its own stream current
    return outputs, launch
