"""Ensembles: many copies of one model, trained side by side as one batched model."""

from ._ensemble import Ensemble, Method, Randomness, Vectorize

__all__ = [
    "Ensemble",
    "Method",
    "Randomness",
    "Vectorize",
]
