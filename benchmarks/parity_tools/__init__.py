"""The frameworks' own benchmarks, one module each, as `benchmarks/parity.py` runs them.

Owns the list. Contract: `parity_tools.tool.Tool`; a module's docstring says where its tool's definitions differ from
ours and what was done about each.
"""

from __future__ import annotations

from collections.abc import Mapping

from parity_tools.llamacpp import LlamaBench
from parity_tools.mlx import MlxBenchmark
from parity_tools.olive import GenaiLoop
from parity_tools.openvino import GenaiPipeline
from parity_tools.tool import Tool

TOOLS: Mapping[str, Tool] = {
    tool.framework: tool for tool in (LlamaBench(), GenaiPipeline(), MlxBenchmark(), GenaiLoop())
}
