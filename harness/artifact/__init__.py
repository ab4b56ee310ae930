"""The content-addressed artifact cache and the lineage of what is in it.

Never imports a framework or another room of the lab half. `docs/artifacts.md` says what it promises.
"""

from __future__ import annotations

from harness.artifact.adopting import Adopted
from harness.artifact.request import Artifact, ArtifactFile, ArtifactRequest
from harness.artifact.store import ArtifactStore

__all__ = ["Adopted", "Artifact", "ArtifactFile", "ArtifactRequest", "ArtifactStore"]
