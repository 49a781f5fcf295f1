"""Benchmarks of lrsched, run by `python -m benchmarks NAME`.

`costs/` measures this package; `replications/` repeats published experiments. Both use the files
beside them; `costs/` may use `replications/`, but not the reverse. They import only public names of lrsched, and three
private files of `lrsched.comparison`: `_statistics`, `_json_lines` and `_devices`.
"""
