"""Sequences: pure functions of a position, k → factor f(k). numpy and Pillow only, no torch."""
