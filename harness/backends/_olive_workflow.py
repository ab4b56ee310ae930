"""How Olive's artifacts are made: one workflow of Olive's own passes for each recipe, and what came out of it.

Owns the workflow's configuration, the calibration data, the files of an artifact, and the count of what was
quantised. Imports olive, onnx and torch inside functions, never the lab half. Contract: an artifact is a folder that
onnxruntime-genai opens: ``genai_config.json``, the graph with its external data, the tokenizer's files, and `FACTS`.

Olive reports success when a pass failed and there is no output; the files are what counts here, and Olive's last log
lines are the reason that is told.
"""

from __future__ import annotations

import importlib.metadata
import json
import logging
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from harness.backends import _hf_checkpoint
from harness.backends._ort_genai import CONFIG
from harness.worker.api import Calibration, Made, MakeRequest
from harness.worker.onnx_file import INDICES

#: Raised by one whenever the same passes leave other files; part of every artifact's key.
REVISION = 1

GRAPH = "model.onnx"
DATA = "model.onnx.data"
#: Facts about an artifact that its loader needs and neither the graph nor genai's configuration says.
FACTS = "edgebench.json"

_PROVIDERS = {
    "cpu": ("cpu", "CPUExecutionProvider"),
    "cuda": ("gpu", "CUDAExecutionProvider"),
    "directml": ("gpu", "DmlExecutionProvider"),
}

#: Initialisers that no training made: tables of the rotary embedding.
NOT_WEIGHTS = frozenset({"cos_cache", "sin_cache"})

#: Bits of the element types that share bytes; NumPy's stand-ins for them take a whole one.
_PACKED_BITS = {
    "INT2": 2, "UINT2": 2, "INT4": 4, "UINT4": 4, "FLOAT4E2M1": 4, "FLOAT6E2M3": 6, "FLOAT6E3M2": 6,
}  # fmt: skip

#: Words of Olive's log that are kept as the reason of a failure.
_LAST_LINES = 6


def environment() -> None:
    """Before olive is imported: no telemetry, no network."""
    os.environ["OLIVE_DISABLE_TELEMETRY"] = "1"
    # Threads that spin at the end of each small operation take the processor from each other.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    _hf_checkpoint.offline()


def make(request: MakeRequest) -> Made:
    """Run the recipe's passes.

    Raises:
        RuntimeError: no model came out, with Olive's last words.
    """
    import torch

    # Operations on single columns, as GPTQ's, are too small to be shared out: threads only wait for each other.
    columns = {"Gptq", "OnnxHqqQuantization"} & set(request.recipe.passes)
    torch.set_num_threads(1 if columns else request.threads)
    parameters = request.recipe.parameters
    with tempfile.TemporaryDirectory(dir=request.out, ignore_cleanup_errors=True) as name:
        folder = Path(name)
        # Whatever a library keeps "at home" goes away with the folder.
        os.environ["HF_HOME"] = str(folder / "hf")
        if "optimize" in parameters:
            passes = _optimised_passes(request, folder)
        else:
            passes = [dict(one) for one in parameters["passes"]]
        data = _data_config(request.calibration, request.source, parameters.get("calibration"))
        for one in passes:
            if one["type"] in _CALIBRATED:
                if data is None:
                    raise RuntimeError(f"{one['type']} needs calibration text, and the recipe declares none")
                one["data_config"] = data
        words = _run(request.source, passes, folder, str(parameters.get("api", "cpu")))
        output = folder / "out"
        if not (output / GRAPH).is_file():
            raise RuntimeError("Olive gave no output model: " + (" | ".join(words) or "it said nothing"))
        _collect(output, request.source, request.out)
    counted = count(request.out / GRAPH, request.recipe.precision)
    write_facts(request, counted["weight_bytes"])
    return Made(
        weight_bytes=counted["weight_bytes"],
        entry=".",
        tool_version=importlib.metadata.version(request.recipe.tool),
        notes={
            "passes": [one["type"] for one in passes],
            "weight_types": counted["types"],
            "operators": counted["operators"],
            "fallbacks": counted["fallbacks"],
        },
    )


#: Passes that read calibration data.
_CALIBRATED = frozenset({"Gptq", "OnnxStaticQuantization"})


def _run(source: Path, passes: list[dict[str, Any]], folder: Path, api: str) -> list[str]:
    """Run a workflow into ``folder/out``; returns the last lines of Olive's log that are warnings or worse."""
    from olive.workflows import run

    device, provider = _PROVIDERS[api]
    is_onnx = (source / GRAPH).is_file()
    model: dict[str, Any] = {"type": "HfModel", "model_path": str(source), "task": "text-generation"}
    if is_onnx:
        model = {"type": "ONNXModel", "model_path": str(source), "onnx_file_name": GRAPH}
    config = {
        "input_model": model,
        "systems": {
            "here": {
                "type": "LocalSystem",
                "accelerators": [{"device": device, "execution_providers": [provider]}],
            }
        },
        "target": "here",
        "passes": {f"pass_{index}": one for index, one in enumerate(passes)},
        "output_dir": str(folder / "out"),
        "cache_dir": str(folder / "cache"),
        "clean_cache": True,
        "no_artifacts": True,
        "evaluate_input_model": False,
        "log_severity_level": 1,
    }
    with _listening() as words:
        try:
            run(config)
        except Exception as error:
            raise RuntimeError(f"{error} | " + " | ".join(words)) from error
    return words


@contextmanager
def _listening() -> Iterator[list[str]]:
    """The last warnings and errors that Olive logs."""
    words: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            words.append(record.getMessage())
            if record.exc_info and record.exc_info[1] is not None:
                words.append(f"{type(record.exc_info[1]).__name__}: {record.exc_info[1]}")
            del words[:-_LAST_LINES]

    handler = Handler(level=logging.WARNING)
    logger = logging.getLogger("olive")
    logger.addHandler(handler)
    try:
        yield words
    finally:
        logger.removeHandler(handler)


def _optimised_passes(request: MakeRequest, folder: Path) -> list[dict[str, Any]]:
    """The passes that ``olive optimize`` chooses for the recipe's arguments; it writes its plan and runs nothing."""
    from argparse import ArgumentParser

    from olive.cli.optimize import OptimizeCommand

    parser = ArgumentParser()
    commands = parser.add_subparsers()
    OptimizeCommand.register_subcommand(commands)
    arguments = [
        "optimize",
        "--model_name_or_path",
        str(request.source),
        "--output_path",
        str(folder / "plan"),
    ]
    for name, value in request.recipe.parameters["optimize"].items():
        arguments += [f"--{name}", str(value)]
    known, unknown = parser.parse_known_args(arguments)
    command = OptimizeCommand(parser, known, unknown)
    chosen = command._get_run_config(str(folder))["passes"]
    return [dict(one) for one in chosen.values()]


# -- calibration ------------------------------------------------------------------------------------------------------


def _data_config(
    calibration: Calibration | None, source: Path, wanted: Mapping[str, Any] | None
) -> dict[str, Any] | None:
    """A data configuration of Olive that gives the calibration tokens; registers its dataset."""
    if calibration is None or wanted is None:
        return None
    from olive.data.registry import Registry

    ids = np.fromfile(calibration.tokens, dtype="<i4")
    length, samples = int(wanted["length_tokens"]), int(wanted["samples"])
    rows = windows(ids, length, samples, calibration.bos)
    cache = _empty_cache(source) if (source / GRAPH).is_file() else {}

    @Registry.register_dataset("edgebench_tokens")  # type: ignore[untyped-decorator, unused-ignore]
    def dataset(**_: Any) -> Any:
        return _Tokens(rows, cache)

    @Registry.register_dataloader("edgebench_loader")  # type: ignore[untyped-decorator, unused-ignore]
    def loader(dataset: Any, **_: Any) -> Any:
        return dataset

    return {
        "name": "calibration",
        "load_dataset_config": {"type": "edgebench_tokens"},
        "pre_process_data_config": {"type": "skip_pre_process"},
        "post_process_data_config": {"type": "skip_post_process"},
        "dataloader_config": {"type": "edgebench_loader"},
    }


def windows(
    ids: np.ndarray[Any, Any], length: int, samples: int, bos: int | None
) -> list[np.ndarray[Any, Any]]:
    """``samples`` windows of ``length`` ids, spread evenly over the text.

    Raises:
        ValueError: the text is shorter than one window.
    """
    body = length - (bos is not None)
    if ids.size < body:
        raise ValueError(f"the calibration text has {ids.size} tokens, fewer than one window of {length}")
    last = ids.size - body
    starts = sorted({round(last * index / max(samples - 1, 1)) for index in range(samples)})
    head = [] if bos is None else [bos]
    return [np.asarray([*head, *ids[start : start + body]], np.int64) for start in starts]


class _Tokens:
    """Batches of one window, as torch tensors: what both of Olive's readers of calibration data take."""

    def __init__(self, rows: list[np.ndarray[Any, Any]], cache: Mapping[str, np.ndarray[Any, Any]]) -> None:
        self._rows = rows
        self._cache = cache

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> tuple[dict[str, Any], Any]:
        if index >= len(self._rows):
            raise IndexError(index)
        import torch

        ids = torch.from_numpy(self._rows[index]).reshape(1, -1)
        batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        batch |= {name: torch.from_numpy(value) for name, value in self._cache.items()}
        return batch, ids


def _empty_cache(source: Path) -> dict[str, np.ndarray[Any, Any]]:
    """A KV cache of length 0 for the graph's inputs."""
    decoder = json.loads((source / CONFIG).read_text(encoding="utf-8"))["model"]["decoder"]
    empty = np.zeros((1, decoder["num_key_value_heads"], 0, decoder["head_size"]), np.float32)
    names = (decoder["inputs"]["past_key_names"], decoder["inputs"]["past_value_names"])
    return {name % layer: empty for layer in range(decoder["num_hidden_layers"]) for name in names}


# -- the artifact -----------------------------------------------------------------------------------------------------


def _collect(output: Path, source: Path, out: Path) -> None:
    """The graph of ``output`` and all that onnxruntime-genai needs beside it."""
    for file in output.iterdir():
        if file.name.startswith(GRAPH):
            shutil.move(file, out / file.name)
    # A pass on a graph leaves the configuration and the tokenizer behind; they are those of its source.
    for name in (CONFIG, "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        for folder in (output, source):
            if (folder / name).is_file():
                shutil.copyfile(folder / name, out / name)
                break
    if not (out / CONFIG).is_file():
        raise RuntimeError(f"Olive's output has no {CONFIG}, and neither has its source")
    _name_logits(out)


def _name_logits(out: Path) -> None:
    """Tell genai what the graph calls its logits: block-wise passes rename the output of the node that they replace.

    Raises:
        RuntimeError: the graph has no output of that name or with that beginning.
    """
    import onnx

    graph = onnx.load(str(out / GRAPH), load_external_data=False).graph
    names = [output.name for output in graph.output]
    config = json.loads((out / CONFIG).read_text(encoding="utf-8"))
    outputs = config["model"]["decoder"]["outputs"]
    renamed = logits_name(outputs["logits"], names)
    if renamed != outputs["logits"]:
        outputs["logits"] = renamed
        (out / CONFIG).write_text(json.dumps(config, indent=4) + "\n", encoding="utf-8")


def logits_name(wanted: str, outputs: list[str]) -> str:
    """The output that is ``wanted``, or that alone begins so.

    Raises:
        RuntimeError: there is none, or there are several.
    """
    if wanted in outputs:
        return wanted
    found = [name for name in outputs if name.startswith(f"{wanted}_")]
    if len(found) != 1:
        raise RuntimeError(f"the graph has no output {wanted}; it has {', '.join(outputs[:4])} ...")
    return found[0]


#: By which APIs a graph runs where nobody told otherwise.
_APIS = ["cpu", "cuda", "webgpu"]


def read_apis(artifact: Path) -> list[str]:
    """By which APIs an artifact's graph runs; any may be tried with one that was made elsewhere and has no `FACTS`."""
    try:
        text = (artifact / FACTS).read_text(encoding="utf-8")
    except FileNotFoundError:
        return list(_APIS)
    return [str(one) for one in json.loads(text)["apis"]]


def write_facts(request: MakeRequest, weight_bytes: int) -> None:
    """Write `FACTS`: by which APIs the graph runs, and its weight bytes for environments without onnx."""
    facts = {
        "apis": list(request.recipe.parameters.get("apis", _APIS)),
        "weight_bytes": weight_bytes,
    }
    (request.out / FACTS).write_text(json.dumps(facts) + "\n", encoding="utf-8")


def count(graph: Path, wanted: str) -> dict[str, Any]:
    """What a graph's weights are: bytes by element type, operators, and matrices that are in float, not as wanted."""
    import onnx

    model = onnx.load(str(graph), load_external_data=False)
    names = onnx.TensorProto.DataType.Name
    types: Counter[str] = Counter()
    kinds: dict[str, str] = {}
    for tensor in model.graph.initializer:
        kind = names(tensor.data_type)
        kinds[tensor.name] = kind
        if tensor.name not in NOT_WEIGHTS and kind not in INDICES:
            types[kind] += tensor_bytes(tensor)
    operators = Counter(node.op_type for node in model.graph.node)
    return {
        "weight_bytes": sum(types.values()),
        "types": dict(sorted(types.items())),
        "operators": dict(sorted(operators.items())),
        "fallbacks": _left_in_float(model.graph.node, kinds, wanted),
    }


_QUANTISED = frozenset(
    {
        "MatMulNBits",
        "MatMulInteger",
        "GatherBlockQuantized",
        "QLinearMatMul",
        "QuantizeLinear",
        "DequantizeLinear",
    }
)


_FLOATS = {"FLOAT": "fp32", "FLOAT16": "fp16", "BFLOAT16": "bf16"}


def _left_in_float(nodes: Iterable[Any], kinds: Mapping[str, str], wanted: str) -> dict[str, int]:
    """Matrices and tables that stayed in float beside quantised ones; none where nothing was quantised."""
    listed = list(nodes)
    if not any(node.op_type in _QUANTISED for node in listed):
        return {}
    left: Counter[str] = Counter()
    for node in listed:
        for name in node.input if node.op_type in ("MatMul", "Gather", "Gemm", "Transpose") else ():
            taken = _FLOATS.get(kinds.get(name, ""))
            if taken is not None:
                left[f"{wanted} to {taken}"] += 1
    return dict(left)


def tensor_bytes(tensor: Any) -> int:
    """Bytes of an initialiser, from its shape and type: elements of less than a byte share bytes."""
    import onnx

    elements = int(np.prod(tensor.dims, dtype=np.int64)) if tensor.dims else 1
    name = onnx.TensorProto.DataType.Name(tensor.data_type)
    if name in _PACKED_BITS:
        return -(-elements * _PACKED_BITS[name] // 8)
    return elements * int(np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)).itemsize)
