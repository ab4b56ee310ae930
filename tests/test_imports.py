"""The import rule: the worker half needs the standard library, numpy and its one framework, and nothing of the lab."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import harness

ROOT = Path(harness.__file__).resolve().parent
#: With lm-eval's process, which has an environment of its own as frameworks have.
WORKER_HALF = sorted(
    path for room in ("worker", "backends", "evaluation") for path in (ROOT / room).glob("**/*.py")
)

#: What a backend may import, inside functions: its framework. Helper modules carry their backend's name after ``_``.
FRAMEWORK_MODULES = {
    "directml": {"onnxruntime", "onnxruntime_genai"},
    "fake": set(),
    # Not a framework: a helper of several converters.
    "hf_checkpoint": {"gguf", "transformers"},
    "llamacpp": {"llama_cpp"},
    "mlx": {"mlx", "mlx_lm"},
    "olive": {"olive", "onnx", "onnxruntime", "onnxruntime_genai", "torch", "transformers"},
    "openvino": {"openvino", "openvino_genai", "openvino_tokenizers", "nncf"},
    "server": {"llama_cpp", "uvicorn", "fastapi"},
    "qnn": {"gguf", "onnx", "onnxruntime", "onnxruntime_qnn"},
}
#: The package itself holds nothing but its docstring and version.
SHARED = ("harness.worker", "harness.backends", "harness.evaluation")


def _imports(tree: ast.AST, inside_function: bool = False) -> Iterator[tuple[str, int, bool]]:
    """(dotted module, line, whether a function's call is needed to run it) of every import that runs."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            continue
        if isinstance(node, ast.Import):
            yield from ((name.name, node.lineno, inside_function) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide what is imported"
            assert node.module is not None
            names = [f"{node.module}.{name.name}" for name in node.names]
            # `from harness import errors` imports harness.errors.
            modules = names if node.module == "harness" else [node.module]
            yield from ((module, node.lineno, inside_function) for module in modules)
        else:
            is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from _imports(node, inside_function or is_function)


def _framework_of(path: Path) -> set[str]:
    if path.parent.name == "evaluation":
        return {"lm_eval", "jinja2", "datasets"}
    if path.parent.name != "backends":
        return set()
    name = path.stem.removeprefix("_")
    owners = [id_ for id_ in FRAMEWORK_MODULES if name == id_ or name.startswith(f"{id_}_")]
    return set().union(*(FRAMEWORK_MODULES[id_] for id_ in owners))


def _offences(path: Path, text: str) -> list[str]:
    found = []
    for module, line, inside_function in _imports(ast.parse(text)):
        top_level = module.partition(".")[0]
        if top_level in sys.stdlib_module_names or top_level == "numpy":
            continue
        if any(module == shared or module.startswith(f"{shared}.") for shared in SHARED):
            continue
        if top_level in _framework_of(path) and inside_function:
            continue
        found.append(f"{path.name}:{line}: {module}")
    return found


@pytest.mark.parametrize("path", WORKER_HALF, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_module_of_the_worker_half_imports_only_what_it_may(path: Path) -> None:
    assert _offences(path, path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "text",
    [
        "import pandas",
        "from harness.errors import EdgebenchError",
        "from harness import paths",
        "import openvino",
        "def f():\n    import psutil",
        "def f():\n    import llama_cpp",
        "try:\n    import mlx.core\nexcept ImportError:\n    pass",
        "class A:\n    import nncf",
    ],
)
def test_the_rule_itself_finds_offences(text: str) -> None:
    assert len(_offences(ROOT / "backends" / "openvino.py", text)) == 1


def test_the_rule_itself_lets_through_what_is_allowed() -> None:
    text = "import os\nimport numpy as np\nfrom harness.worker import api\ndef f():\n    import nncf"
    assert _offences(ROOT / "backends" / "_openvino_convert.py", text) == []


@pytest.mark.parametrize(
    "module",
    [
        ".".join(path.relative_to(ROOT.parent).with_suffix("").parts)
        for path in WORKER_HALF
        # A program, not a module; it is what the test starts.
        if path.name != "bootstrap.py"
    ],
)
def test_no_module_of_the_worker_half_needs_anything_at_import(module: str) -> None:
    """Checked on what really gets imported, through the same finder as in a worker."""
    program = f"""
import json, runpy, sys
from pathlib import Path
finder = runpy.run_path({str(ROOT / "worker" / "bootstrap.py")!r})["PackageFinder"]
sys.meta_path.insert(0, finder({{"harness": Path({str(ROOT)!r})}}))
before = set(sys.modules)
__import__({module!r})
print(json.dumps(sorted(set(sys.modules) - before)))
"""
    answer = subprocess.run(
        [sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True, timeout=120
    )
    loaded = json.loads(answer.stdout)
    foreign = {
        name
        for name in loaded
        if not any(name == shared or name.startswith(f"{shared}.") for shared in (*SHARED, "numpy"))
        and name != "harness"
        and name.partition(".")[0] not in sys.stdlib_module_names
    }
    assert module in loaded
    # Extension modules inside numpy register helpers of their own under other names.
    assert {name for name in foreign if not name.startswith(("_cython", "cython_runtime"))} == set()
