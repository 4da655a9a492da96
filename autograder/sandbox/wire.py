"""Values as bytes: all that ever crosses between a checker and a student's code.

A message is one value, built from None, bool, int, float, str, list, tuple, dict with string keys, torch tensors and
three kinds of reference: `Handle` (an object that stays on the student's side), `Callback` (a function that stays on
the checker's side) and `Source` (a piece of Python to be run on the student's side). Nothing else crosses, and
nothing is ever unpickled.

    frame = length of header (4 bytes, big endian) | header (JSON) | raw bytes of every tensor, one after the other

JSON holds the tree; a tensor stands there as dtype and shape, and, where its layout is to cross, the order of its axes
in memory, so that a permuted tensor arrives permuted. Floats travel as hexadecimal text, so that every value,
infinities and NaN among them, arrives bit for bit.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from types import CodeType
from typing import Any

import numpy
import torch

DTYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (
        *(torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64, torch.complex128),
        *(torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64),
    )
}
ARRAYS = {name: numpy.dtype(name) for name in DTYPES if name != "bfloat16"}  # which NumPy lacks
PLAIN = (bool, str)  # JSON has them
NAMES = {dtype: name for name, dtype in DTYPES.items()}
MAX_DEPTH = 32
MAX_DIMENSIONS = 32  # torch's own operations stop at 64
MAX_TENSOR = 1 << 28  # bytes; a view such as zeros(1).expand(10**12) would otherwise be written out in full


_TEXT = json.JSONEncoder(separators=(",", ":"), check_circular=False)  # a circle is too deep before it gets here


class WireError(ValueError):
    """A value that cannot cross, or bytes that are not a message."""


@dataclass(frozen=True)
class Handle:
    """An object that stays where it was made; `kind` is "module", "optimizer", "callable" or "class"."""

    id: int
    kind: str
    name: str


@dataclass(frozen=True)
class Callback:
    """A function of the checker's, callable from the student's side by its number."""

    id: int


@dataclass(frozen=True)
class Source:
    """Python text that defines `name`, to be run on the student's side where gradients must flow through it."""

    text: str
    name: str

    def run(self) -> Any:
        """What the text defines under `name`; the text finds `torch` imported."""
        namespace: dict[str, Any] = {"torch": torch}
        exec(_compiled(self.text, self.name), namespace)
        return namespace[self.name]


@lru_cache(maxsize=64)
def _compiled(text: str, name: str) -> CodeType:
    return compile(text, f"<given {name}>", "exec")


def encode(value: Any, refer: Callable[[Any], Any] | None = None, layouts: bool = False) -> bytes:
    """The frame of `value`. `refer(object)` may turn an object that cannot cross into a `Handle` or `Callback`, or
    return None. Tensors arrive contiguous; with `layouts`, with their axes in the order that they have in memory.
    """
    blobs: list[bytes] = []
    tree = _pack(value, blobs, refer, 0, layouts)
    header = _TEXT.encode(tree).encode()
    return b"".join([struct.pack(">I", len(header)), header, *blobs])


def decode(frame: bytes, resolve: Callable[[Any], Any] | None = None) -> Any:
    """The value of a frame; `resolve(reference)` turns a Handle, Callback or Source into an object. Raises
    `WireError`.
    """
    try:
        (length,) = struct.unpack_from(">I", frame)
        tree = json.loads(str(frame[4 : 4 + length], "utf-8"))
        reader = _Reader(memoryview(frame)[4 + length :], resolve)
        value = reader.unpack(tree, 0)
    except WireError:
        raise
    except Exception as error:  # any malformed frame, whatever it trips over
        raise WireError(f"not a message: {type(error).__name__}: {error}") from None
    if reader.offset != len(reader.blob):
        raise WireError("not a message: bytes left over")
    return value


def _pack(value: Any, blobs: list[bytes], refer: Callable[[Any], Any] | None, depth: int, layouts: bool) -> Any:
    if depth > MAX_DEPTH:
        raise WireError(f"nested more than {MAX_DEPTH} deep")
    if value is None or type(value) in PLAIN:
        return value
    if isinstance(value, torch.Tensor):
        return _pack_tensor(value, blobs, layouts)
    if isinstance(value, float):  # np.float64 is one too
        return {"f": float(value).hex() if math.isfinite(value) else repr(float(value))}
    if isinstance(value, int):
        return {"i": str(int(value))}
    if isinstance(value, list | tuple):
        kind = "l" if isinstance(value, list) else "u"
        return {kind: [_pack(item, blobs, refer, depth + 1, layouts) for item in value]}
    if isinstance(value, dict):
        if not all([type(key) is str for key in value]):
            raise WireError("a dict whose keys are not all strings")
        return {"d": {key: _pack(item, blobs, refer, depth + 1, layouts) for key, item in value.items()}}
    reference = value
    if not isinstance(value, Handle | Callback | Source) and refer is not None:
        reference = refer(value)
    if isinstance(reference, Handle):
        return {"h": [reference.id, reference.kind, reference.name]}
    if isinstance(reference, Callback):
        return {"c": reference.id}
    if isinstance(reference, Source):
        return {"s": [reference.text, reference.name]}
    raise WireError(f"a value of type {type(value).__module__}.{type(value).__qualname__}")


def _pack_tensor(value: torch.Tensor, blobs: list[bytes], layouts: bool) -> Any:
    name = NAMES.get(value.dtype)
    if name is None or value.layout is not torch.strided or value.is_quantized or value.is_meta:
        raise WireError(f"a tensor with dtype {value.dtype} and layout {value.layout} on {value.device}")
    if value.nbytes > MAX_TENSOR:
        raise WireError(f"a tensor of shape {tuple(value.shape)}, more than {MAX_TENSOR >> 20} MiB")
    held, order = value.detach() if value.requires_grad else value, []
    if not held.is_cpu or held.is_complex() or held.is_neg():
        held = held.cpu().resolve_conj().resolve_neg()
    if layouts and not held.is_contiguous():
        strides = held.stride()
        order = sorted(range(held.ndim), key=lambda axis: -strides[axis])
        held = held.permute(order)
    if name not in ARRAYS:
        held = held.contiguous().view(torch.int16)
    blobs.append(held.numpy().tobytes())
    return {"t": [name, list(value.shape), order] if order else [name, list(value.shape)]}


class _Reader:
    def __init__(self, blob: memoryview, resolve: Callable[[Any], Any] | None) -> None:
        self.blob, self.offset, self.resolve = blob, 0, resolve or (lambda reference: reference)

    def unpack(self, tree: Any, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise WireError(f"nested more than {MAX_DEPTH} deep")
        if tree is None or type(tree) in PLAIN:
            return tree
        ((kind, body),) = tree.items()
        match kind:  # the most frequent first
            case "t":
                return self._tensor(*body)
            case "d":
                return {key: self.unpack(item, depth + 1) for key, item in body.items()}
            case "l":
                return [self.unpack(item, depth + 1) for item in body]
            case "f":
                return float.fromhex(body) if "0x" in body else float(body)
            case "i":
                return int(body)
            case "u":
                return tuple([self.unpack(item, depth + 1) for item in body])
            case "h":
                return self.resolve(Handle(int(body[0]), str(body[1]), str(body[2])))
            case "c":
                return self.resolve(Callback(int(body)))
            case "s":
                return self.resolve(Source(str(body[0]), str(body[1])))
        raise WireError(f"not a message: unknown kind {kind!r}")

    def _tensor(self, name: str, shape: list[int], order: list[int] | None = None) -> torch.Tensor:
        if order is not None:
            if sorted(order) != list(range(len(shape))):
                raise WireError("not a message: the order of a tensor's axes")
            moved = self._tensor(name, [shape[axis] for axis in order])
            return moved.permute([order.index(axis) for axis in range(len(order))])
        dtype = DTYPES[name]
        if len(shape) > MAX_DIMENSIONS or not all([type(size) is int and 0 <= size <= MAX_TENSOR for size in shape]):
            raise WireError("not a message: a tensor's shape")
        size = math.prod(shape) * dtype.itemsize
        raw = self.blob[self.offset : self.offset + size]
        if len(raw) != size:
            raise WireError("not a message: a tensor is cut short")
        self.offset += size
        if size == 0:
            return torch.empty(shape, dtype=dtype)
        if name not in ARRAYS:
            return torch.frombuffer(bytearray(raw), dtype=dtype).reshape(shape)
        return torch.from_numpy(numpy.ndarray(shape, ARRAYS[name], bytearray(raw)))  # in half the time
