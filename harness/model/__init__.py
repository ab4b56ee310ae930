"""The model list, and model files: fetched, verified, understood.

Owns `suites/models.yaml` and the model cache. Imports nothing of the other lab packages. Contract: `load_models`
gives every known model, `fetch` a verified file of one, `check_gguf` what any GGUF file says of itself,
`ModelConfiguration` a model's shape.
"""

from __future__ import annotations

from harness.model.configuration import ModelConfiguration
from harness.model.fetching import ModelFile, Say, cached_path, fetch, verify
from harness.model.gguf_header import GgufFacts, check_gguf
from harness.model.models import License, Model, Reference, Source, find_model, load_models

__all__ = [
    "GgufFacts",
    "License",
    "Model",
    "ModelConfiguration",
    "ModelFile",
    "Reference",
    "Say",
    "Source",
    "cached_path",
    "check_gguf",
    "fetch",
    "find_model",
    "load_models",
    "verify",
]
