"""How many numbers become one value in the database, and back.

Owns the packing that `trace.data` is documented with: little-endian, 8 bytes a number, `int64` or `float64`. Imports
the standard library only. In numpy: ``np.frombuffer(data, "<i8")`` or ``"<f8"``.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

_LETTERS = {"int64": "q", "float64": "d"}


def pack(numbers: Sequence[int] | Sequence[float]) -> tuple[str, bytes]:
    """``(dtype, data)``: int64 where every number is an int, else float64.

    Raises:
        ValueError: an int is outside of 64 bits, or something is no number.
    """
    dtype = "int64" if all(isinstance(number, int) for number in numbers) else "float64"
    try:
        return dtype, struct.pack(f"<{len(numbers)}{_LETTERS[dtype]}", *numbers)
    except (struct.error, OverflowError) as error:
        raise ValueError(f"a trace holds a number that does not fit {dtype}: {error}") from error


def unpack(dtype: str, data: bytes) -> tuple[int, ...] | tuple[float, ...]:
    """The numbers.

    Raises:
        ValueError: another dtype, or a length that is no multiple of 8: the database was changed by hand.
    """
    if dtype not in _LETTERS or len(data) % 8:
        raise ValueError(f"no trace: {dtype!r} in {len(data)} bytes")
    return struct.unpack(f"<{len(data) // 8}{_LETTERS[dtype]}", data)
