"""What a GGUF file says of itself, and whether all of it is there.

Owns reading the header: key-value pairs and the tensor list, never a weight. Imports nothing but the standard
library: the ``gguf`` package's reader takes seconds on a 49,000-token vocabulary and half a second to import, and
this check runs before every session. Contract: any file whatsoever gives either facts or a `UsageError`; memory
stays bounded whatever counts the file claims.
"""

from __future__ import annotations

import contextlib
import math
import os
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from harness.errors import UsageError

MAGIC = b"GGUF"

#: Type number -> name, elements a block, bytes a block (the format's own table; a test compares it with ``gguf``).
TENSOR_TYPES: Mapping[int, tuple[str, int, int]] = {
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20), 6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34), 9: ("Q8_1", 32, 40), 10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144), 13: ("Q5_K", 256, 176), 14: ("Q6_K", 256, 210), 15: ("Q8_K", 256, 292),
    16: ("IQ2_XXS", 256, 66), 17: ("IQ2_XS", 256, 74), 18: ("IQ3_XXS", 256, 98), 19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18), 21: ("IQ3_S", 256, 110), 22: ("IQ2_S", 256, 82), 23: ("IQ4_XS", 256, 136),
    24: ("I8", 1, 1), 25: ("I16", 1, 2), 26: ("I32", 1, 4), 27: ("I64", 1, 8), 28: ("F64", 1, 8),
    29: ("IQ1_M", 256, 56), 30: ("BF16", 1, 2), 34: ("TQ1_0", 256, 54), 35: ("TQ2_0", 256, 66),
    39: ("MXFP4", 32, 17), 40: ("NVFP4", 64, 36), 41: ("Q1_0", 128, 18),
}  # fmt: skip

#: Value types of fixed size: number -> struct format. 8 is a string, 9 an array.
_SCALAR_CODES = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_SCALARS = {number: struct.Struct("<" + code) for number, code in _SCALAR_CODES.items()}
_STRING, _ARRAY = 8, 9
_U32, _U64 = struct.Struct("<I"), struct.Struct("<Q")

_KEPT_STRING_BYTES = 1 << 20  # a chat template is some 10 kB
_NAME_BYTES = 1 << 16
_MAX_DIMENSIONS = 8
_MAX_ALIGNMENT = 1 << 20
_ARRAY_DEPTH = 4
_CHUNK_BYTES = 1 << 18
_SMALLEST_TENSOR_ENTRY = 8 + 4 + 4 + 8
_SMALLEST_PAIR = 8 + 4 + 1

Scalar = int | float | bool | str


@dataclass(frozen=True, slots=True)
class GgufFacts:
    """What the header says.

    Attributes:
        architecture: ``general.architecture``.
        parameter_count: elements of all tensors.
        row_width: width of the residual stream, by which most weight rows are wide; None where the file does
            not say.
        vocab_size: tokens in the vocabulary; None where the file does not say.
        tensors: number of tensors.
        tensor_types: parameters by tensor type, ``type N`` for one that this version does not know.
        weight_bytes: bytes of all tensors without padding; None when a type is unknown.
        size_bytes: size of the file.
        metadata: the scalar key-value pairs; arrays are left out.
        arrays: keys of the arrays.
        embedding_parameters: elements of the token-embedding table, 0 without one.
        output_parameters: elements of the output projection, 0 where the embedding table is used for it.
        expert_parameters: elements of the experts' tensors.
    """

    architecture: str
    parameter_count: int
    row_width: int | None
    vocab_size: int | None
    tensors: int
    tensor_types: Mapping[str, int]
    weight_bytes: int | None
    size_bytes: int
    metadata: Mapping[str, Scalar]
    arrays: frozenset[str] = frozenset()
    embedding_parameters: int = 0
    output_parameters: int = 0
    expert_parameters: int = 0


@dataclass(frozen=True, slots=True)
class GgufTokens:
    """The vocabulary as the file has it.

    Attributes:
        kind: ``tokenizer.ggml.model``: ``gpt2``, ``llama`` ...; None where the file does not say.
        texts: each token, in the tokenizer's own spelling of bytes.
        types: the type number of each token; empty where the file has none.
    """

    kind: str | None
    texts: tuple[str, ...]
    types: tuple[int, ...]


class _CutError(Exception):
    """The file ends before what it announces."""


class _ForeignError(Exception):
    """The bytes are no GGUF; the message says why."""


def check_gguf(path: Path) -> GgufFacts:
    """The facts of a GGUF file whose every tensor is there.

    Reads the header only: 98 MB take some 0.05 s.

    Raises:
        UsageError: missing, unreadable, foreign, damaged or cut short.
    """
    with _said(path), path.open("rb") as file:
        return _Header(path, file, os.fstat(file.fileno()).st_size).facts()


def gguf_tokens(path: Path) -> GgufTokens:
    """The vocabulary of a GGUF file; no token where it holds none.

    Raises:
        UsageError: missing, unreadable, foreign, damaged or cut short.
    """
    with _said(path), path.open("rb") as file:
        return _Header(path, file, os.fstat(file.fileno()).st_size).tokens()


@contextlib.contextmanager
def _said(path: Path) -> Iterator[None]:
    """What is wrong with the file, as a person reads it."""
    try:
        yield
    except FileNotFoundError as error:
        raise UsageError(f"there is no file {path}", next_step="check the path of the model") from error
    except IsADirectoryError as error:
        raise UsageError(
            f"{path} is a folder, not a GGUF file", next_step="name the .gguf file inside it"
        ) from error
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror}", next_step="check the file's permissions and the disk"
        ) from error
    except _CutError as error:
        raise UsageError(
            f"{path} {error}: the download was cut", next_step="fetch the file again, or compare its size"
        ) from error
    except _ForeignError as error:
        raise UsageError(
            f"{path} is not a GGUF file that can be used: {error}",
            next_step="name a GGUF file of format version 2 or 3, as llama.cpp's converter writes it",
        ) from error


class _Header:
    """One pass over a header, through a window that slides over the file."""

    def __init__(self, path: Path, file: BinaryIO, size: int) -> None:
        self._path = path
        self._file = file
        self._size = size
        self._window = b""
        self._base = 0  # offset of the window in the file
        self._at = 0  # offset in the window

    # -- reading ----------------------------------------------------------------------------------------------

    @property
    def _position(self) -> int:
        return self._base + self._at

    def _fill(self, count: int) -> None:
        """Make the next ``count`` bytes stand in the window."""
        start = self._position
        if count > self._size - start:
            raise _CutError(f"ends at byte {self._size:,}, inside its header")
        self._file.seek(start)
        window = self._file.read(min(max(count, _CHUNK_BYTES), self._size - start))
        if len(window) < count:  # it shrank since it was opened
            raise _CutError(f"ends at byte {start + len(window):,}, inside its header")
        self._window, self._base, self._at = window, start, 0

    def _take(self, count: int) -> bytes:
        if self._at + count > len(self._window):
            self._fill(count)
        taken = self._window[self._at : self._at + count]
        self._at += count
        return taken

    def _skip(self, count: int) -> None:
        if count > self._size - self._position:
            raise _CutError(f"ends at byte {self._size:,}, inside its header")
        if self._at + count <= len(self._window):
            self._at += count
        else:
            self._base, self._at, self._window = self._position + count, 0, b""

    def _u32(self) -> int:
        return int(_U32.unpack(self._take(4))[0])

    def _u64(self) -> int:
        return int(_U64.unpack(self._take(8))[0])

    def _name(self) -> str:
        length = self._u64()
        if length > _NAME_BYTES:
            raise _ForeignError(f"a name of {length:,} bytes at byte {self._position - 8:,}")
        return self._take(length).decode("utf-8", "replace")

    # -- values -----------------------------------------------------------------------------------------------

    def _value(self, kind: int) -> Scalar | None:
        """A scalar, or None for what is passed over; an array's length goes to `_array`."""
        if kind == _STRING:
            length = self._u64()
            if length > _KEPT_STRING_BYTES:
                self._skip(length)
                return None
            return self._take(length).decode("utf-8", "replace")
        scalar = _SCALARS.get(kind)
        if scalar is None:
            raise _ForeignError(f"a value of unknown type {kind} before byte {self._position:,}")
        value: Scalar = scalar.unpack(self._take(scalar.size))[0]
        return value

    def _array(self, depth: int = 0) -> int:
        """Pass over an array; its length."""
        kind, length = self._u32(), self._u64()
        if kind == _ARRAY:
            if depth == _ARRAY_DEPTH:
                raise _ForeignError(f"arrays nested deeper than {_ARRAY_DEPTH}")
            self._room_for(length, 12)
            for _ in range(length):
                self._array(depth + 1)
        elif kind == _STRING:
            self._room_for(length, 8)
            self._skip_strings(length)
        elif kind in _SCALARS:
            self._skip(length * _SCALARS[kind].size)
        else:
            raise _ForeignError(f"an array of unknown type {kind} before byte {self._position:,}")
        return length

    def _room_for(self, count: int, each: int) -> None:
        """A count that cannot be true is refused before anything loops over it."""
        if count * each > self._size - self._position:
            raise _CutError(
                f"ends at byte {self._size:,}, and announces {count:,} entries more in its header"
            )

    def _skip_strings(self, count: int) -> None:
        # The vocabulary and its merges: some 100,000 to 500,000 strings, so this loop is kept bare.
        unpack_from = _U64.unpack_from
        for _ in range(count):
            at = self._at
            if at + 8 > len(self._window):
                self._fill(8)
                at = 0
            after = at + 8 + unpack_from(self._window, at)[0]
            if after <= len(self._window):
                self._at = after
            else:
                self._at = at
                self._skip(after - at)

    # -- the whole --------------------------------------------------------------------------------------------

    def _begin(self) -> tuple[int, int]:
        """Magic, version, counts: (tensors, pairs)."""
        start = self._file.read(64)
        if not start:
            raise _CutError("is empty")
        if start[:4] != MAGIC:
            raise _ForeignError(_what_it_is(start))
        self._at = 4
        self._window = start
        version = self._u32()
        if version not in (2, 3):
            swapped = int.from_bytes(version.to_bytes(4, "little"), "big")
            raise _ForeignError("it is big-endian" if swapped in (2, 3) else f"format version {version}")
        tensors, pairs = self._u64(), self._u64()
        self._room_for(tensors, _SMALLEST_TENSOR_ENTRY)
        self._room_for(pairs, _SMALLEST_PAIR)
        return tensors, pairs

    def facts(self) -> GgufFacts:
        tensors, pairs = self._begin()
        metadata: dict[str, Scalar] = {}
        lengths: dict[str, int] = {}
        for _ in range(pairs):
            key, kind = self._name(), self._u32()
            if kind == _ARRAY:
                lengths[key] = self._array()
            elif (value := self._value(kind)) is not None:
                metadata[key] = value
        architecture = metadata.get("general.architecture")
        if not isinstance(architecture, str):
            raise _ForeignError("it names no general.architecture")

        types: dict[str, int] = {}
        weight_bytes: int | None = 0
        end = 0
        embedding: tuple[int, ...] = ()
        output = experts = 0
        for _ in range(tensors):
            name, shape, kind, offset = self._tensor()
            known = TENSOR_TYPES.get(kind)
            elements = math.prod(shape)
            label = known[0] if known else f"type {kind}"
            types[label] = types.get(label, 0) + elements
            size = self._tensor_bytes(name, shape, known) if known else None
            weight_bytes = None if weight_bytes is None or size is None else weight_bytes + size
            end = max(end, offset + (size or 0))
            if name == "token_embd.weight":
                embedding = shape
            elif name == "output.weight":
                output = elements
            elif "_exps." in name:  # blk.0.ffn_gate_exps.weight: the experts of one layer
                experts += elements
        self._check_end(metadata.get("general.alignment", 32), tensors, end)
        return GgufFacts(
            architecture=architecture,
            parameter_count=sum(types.values()),
            row_width=_first_int(
                metadata.get(f"{architecture}.embedding_length"), embedding[0] if embedding else None
            ),
            vocab_size=_first_int(
                lengths.get("tokenizer.ggml.tokens"),
                metadata.get(f"{architecture}.vocab_size"),
                embedding[1] if len(embedding) > 1 else None,
            ),
            tensors=tensors,
            tensor_types=types,
            weight_bytes=weight_bytes,
            size_bytes=self._size,
            metadata=metadata,
            arrays=frozenset(lengths),
            embedding_parameters=math.prod(embedding) if embedding else 0,
            output_parameters=output,
            expert_parameters=experts,
        )

    def tokens(self) -> GgufTokens:
        _, pairs = self._begin()
        kind: Scalar | None = None
        texts: tuple[str, ...] = ()
        types: tuple[int, ...] = ()
        for _ in range(pairs):
            key, of = self._name(), self._u32()
            if key == "tokenizer.ggml.tokens" and of == _ARRAY:
                texts = self._strings()
            elif key == "tokenizer.ggml.token_type" and of == _ARRAY:
                types = self._integers()
            elif of == _ARRAY:
                self._array()
            else:
                value = self._value(of)
                kind = value if key == "tokenizer.ggml.model" else kind
        return GgufTokens(kind if isinstance(kind, str) else None, texts, types)

    def _strings(self) -> tuple[str, ...]:
        of, length = self._u32(), self._u64()
        if of != _STRING:
            raise _ForeignError(f"its tokens are of type {of}")
        self._room_for(length, 8)
        return tuple(self._name() for _ in range(length))

    def _integers(self) -> tuple[int, ...]:
        of, length = self._u32(), self._u64()
        scalar = _SCALARS.get(of)
        if scalar is None or of in (6, 7, 12):
            raise _ForeignError(f"its token types are of type {of}")
        self._room_for(length, scalar.size)
        return tuple(int(scalar.unpack(self._take(scalar.size))[0]) for _ in range(length))

    def _tensor(self) -> tuple[str, tuple[int, ...], int, int]:
        name, dimensions = self._name(), self._u32()
        if dimensions > _MAX_DIMENSIONS:
            raise _ForeignError(f"tensor {name!r} has {dimensions} dimensions")
        shape = tuple(self._u64() for _ in range(dimensions))
        return name, shape, self._u32(), self._u64()

    def _tensor_bytes(self, name: str, shape: tuple[int, ...], known: tuple[str, int, int]) -> int:
        label, block, block_bytes = known
        row = shape[0] if shape else 1
        if row % block:
            raise _ForeignError(f"tensor {name!r} has rows of {row}, which {label} cannot hold")
        return math.prod(shape) // block * block_bytes

    def _check_end(self, alignment: Scalar, tensors: int, end: int) -> None:
        if not isinstance(alignment, int) or not 0 < alignment <= _MAX_ALIGNMENT:
            raise _ForeignError(f"general.alignment is {alignment!r}")
        if not tensors:
            raise _ForeignError("it holds no tensors")
        needed = -(-self._position // alignment) * alignment + end
        if self._size < needed:
            raise _CutError(f"ends at byte {self._size:,}, its tensors need {needed:,}")


def _first_int(*candidates: Scalar | None) -> int | None:
    return next((value for value in candidates if isinstance(value, int) and value > 0), None)


def _what_it_is(start: bytes) -> str:
    """What a file that is no GGUF begins with, in words where it is a common mistake."""
    stripped = start.lstrip().lower()
    if start.startswith(b"version https://git-lfs"):
        return "it is a Git LFS pointer to the real file"
    if stripped.startswith((b"<!doctype", b"<html")):
        return "it is a web page, as a download behind a login gives"
    if start.startswith(b"PK\x03\x04"):
        return "it is a ZIP archive (a wheel, or a PyTorch checkpoint)"
    if start[8:9] == b"{":
        return "it begins like a safetensors file"
    return f"it begins with {start[:8]!r}"
