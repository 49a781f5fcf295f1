"""What a table was trained on and for how long: whatever is less than published says so."""

from __future__ import annotations

import re

IMAGES = {"MNIST": 60_000, "CIFAR-10": 50_000, "CIFAR-10 (JPEG)": 50_000, "Digits (8x8)": 1_437}  # to train on


def size(title: str) -> str:
    """Return what the data are called, with `NAME, N images` told as a part of how many."""
    part = re.fullmatch(r"(.+), (\d+) images", title)
    if part is None or int(part[2]) >= IMAGES.get(part[1], 0):
        return title
    return f"{part[1]}, reduced size: {part[2]} of {IMAGES[part[1]]} images"


def length(epochs: int, published: int) -> str:
    """Return how many epochs a run has, and of how many where the published ones had more."""
    return f"reduced length: {epochs} of {published} epochs" if epochs < published else f"{epochs} epochs"
