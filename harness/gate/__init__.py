"""The gate: base and head measured in interleaved pairs, and a verdict for each cell and metric.

`statistics`, `design` and `verdict` are pure: replays and simulations drive the very code that judges live pairs.
"""
