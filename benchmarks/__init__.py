"""Benchmarks of lrsched, run by `python -m benchmarks NAME`.

`costs/` measures this package; `replications/` repeats published experiments. Both use the files
beside them; `costs/` may use `replications/`, but not the reverse. They import only public names of lrsched, and four
private files: `_statistics`, `_json_lines` and `_devices` of `lrsched.comparison`, `_recorded_model` of
`lrsched.ensembles`. `everything.py` is the command `all`: `parts.py` lists what results need, `attached.py` runs a part
until its starter ends, and `pieces.py` keeps large files in pieces.
"""
