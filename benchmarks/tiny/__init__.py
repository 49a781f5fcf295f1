"""Tiny tasks of many kinds, each trained in a fraction of a second, and whole grids of learning rates side by side."""
