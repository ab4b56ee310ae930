"""Synthetic models in mlx-lm's layout: seeded random weights, quantised, written shard by shard.

Owns what `harness.backends.mlx.MLX.synthesize` writes. Imports mlx nowhere: the caller hands it in. Contract: names,
shapes, dtypes and ``config.json`` are those of a conversion of the same model by `mlx_lm.convert` with the recipe's
parameters; no more than one shard (one layer) is in memory, nothing but the pool of rows in float32.

Quantisers work within a row, so the pool of rows is quantised once for each width and deviation, and a tensor is
gathered out of the packed rows: the same bytes as quantising the gathered tensor, at a fraction of the time.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.worker.synthetic import SyntheticModel, SyntheticTensor, pool, row_order


class ShardWriter:
    """Writes one synthetic model as one recipe says.

    Args:
        mx: the module ``mlx.core``.
        model: what to write.
        dtype: of everything that is not quantised: ``float16`` ...
        quantisation: mlx-lm's ``group_size``, ``bits`` and ``mode``; None: nothing is quantised.

    Attributes:
        weight_bytes: bytes of the tensors that were written.
        left_unquantised: modules whose rows the group does not divide, which mlx-lm leaves as they are.
    """

    def __init__(
        self, mx: Any, model: SyntheticModel, dtype: str, quantisation: dict[str, Any] | None
    ) -> None:
        self.weight_bytes = 0
        self.left_unquantised: list[str] = []
        self._mx = mx
        self._model = model
        self._dtype = dtype
        self._quantisation = quantisation
        self._pools: dict[tuple[int, float], dict[str, Any]] = {}

    def write(self, out: Path) -> None:
        """The shards and their index, as ``mlx_lm.utils.save_model`` names them, into an empty folder."""
        shards = [list(group) for _, group in itertools.groupby(self._model.tensors(), _shard_of)]
        names: dict[str, str] = {}
        for number, shard in enumerate(shards, 1):
            file = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
            arrays = dict(item for tensor in shard for item in self._arrays(tensor))
            self._mx.eval(arrays)
            self._mx.save_safetensors(str(out / file), arrays, metadata={"format": "mlx"})
            self.weight_bytes += sum(array.nbytes for array in arrays.values())
            names |= dict.fromkeys(arrays, file)
            del arrays
            # The allocator would keep the shard's buffers for the next one, beside it.
            self._mx.clear_cache()
        totals = {"total_size": self.weight_bytes, "total_parameters": self._model.parameter_count}
        index = {"metadata": totals, "weight_map": dict(sorted(names.items()))}
        (out / "model.safetensors.index.json").write_text(json.dumps(index, indent=4), encoding="utf-8")

    def config(self) -> dict[str, Any]:
        """``config.json``'s content."""
        config = {**self._model.hf_config(), "torch_dtype": self._dtype}
        return config if self._quantisation is None else {**config, "quantization": dict(self._quantisation)}

    def _arrays(self, tensor: SyntheticTensor) -> Iterator[tuple[str, Any]]:
        """A tensor as mlx-lm stores it: ``NAME.weight``, with ``NAME.scales`` (and ``NAME.biases``) where quantised."""
        mx = self._mx
        module = tensor.name.removesuffix(".weight")
        if tensor.kind == "norm":
            yield tensor.name, mx.ones(tensor.shape, dtype=getattr(mx, self._dtype))
            return
        rows = self._pool(tensor.shape[1], tensor.deviation)
        if self._quantisation is not None and "scales" not in rows:
            self.left_unquantised.append(module)
        order = mx.array(row_order(self._model, tensor).astype("int32"))
        for part, pooled in rows.items():
            yield f"{module}.{part}", mx.take(pooled, order, axis=0)

    def _pool(self, columns: int, deviation: float) -> dict[str, Any]:
        """The pool's rows as they are stored: ``weight``, and ``scales`` and maybe ``biases``; made once."""
        found = self._pools.get((columns, deviation))
        if found is not None:
            return found
        mx, quantisation = self._mx, self._quantisation
        plain = mx.array(pool(self._model, columns, deviation)).astype(getattr(mx, self._dtype))
        if quantisation is None or columns % quantisation["group_size"]:
            made = {"weight": plain}
        else:
            # Affine gives scales and biases, the microscaling formats scales alone.
            parts = mx.quantize(plain, **quantisation)
            made = dict(zip(("weight", "scales", "biases"), parts, strict=False))
        mx.eval(made)
        self._pools[columns, deviation] = made
        return made


def _shard_of(tensor: SyntheticTensor) -> str:
    """Tensors of one layer share a shard; what is outside the layers has one for each."""
    parts = tensor.name.split(".")
    return ".".join(parts[:3]) if parts[1] == "layers" else tensor.name
