"""Benchmarks of lrsched, run by `python -m benchmarks NAME`.

`costs/` measures this package; `replications/` repeats published experiments. Both use what lies beside them, and
`costs/` may use `replications/`, not the reverse. They import public names of lrsched only, except for three files of
`lrsched.comparison`: `_statistics`, `_json_lines` and `_devices`.
"""
