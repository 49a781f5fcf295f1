"""Benchmarks of lrsched: `python -m benchmarks NAME`; they import public names of lrsched only."""
