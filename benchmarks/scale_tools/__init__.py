"""The parts of `benchmarks/scale.py`: each measures some figures of the store beside plain `sqlite3`.

`figure` owns what a figure is, `plain` what plain `sqlite3` does; `storing`, `asking` and `commands` measure.
"""
