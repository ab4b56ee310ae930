"""One file per framework: what it needs, its recipes, its devices, and how to run it.

A backend module is imported by both halves, so at module level it imports only the standard library, numpy and
`harness.worker`. The framework itself is imported in `Backend.start`.
"""
