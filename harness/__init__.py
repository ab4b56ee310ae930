"""edgebench: benchmarks of language models on devices.

The package has two halves that meet in one place (`harness.worker.protocol`):

- the worker half (`harness.worker`, `harness.backends`) runs in the framework's own environment and imports
  only the standard library, numpy and its one framework;
- the lab half (everything else) runs in the user's environment.

Nothing is imported here, so that both halves start fast.
"""

__version__ = "0.1.0"
