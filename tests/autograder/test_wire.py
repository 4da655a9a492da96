"""Everything that crosses arrives bit for bit; everything else is refused with a `WireError`."""

import json
import math
import random
import struct

import numpy as np
import pytest
import torch

from autograder.sandbox.wire import DTYPES, MAX_DEPTH, Callback, Handle, Source, WireError, decode, encode


def same(a, b) -> bool:
    """Equal in type, structure and bits."""
    if isinstance(a, torch.Tensor):
        return (
            isinstance(b, torch.Tensor)
            and a.dtype == b.dtype
            and a.shape == b.shape
            and a.reshape(-1).view(torch.uint8).tolist() == b.reshape(-1).view(torch.uint8).tolist()
        )
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return isinstance(b, dict) and list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, float):
        return type(b) is float and struct.pack("d", a) == struct.pack("d", b)
    return type(a) is type(b) and a == b


@pytest.mark.parametrize("dtype", DTYPES.values(), ids=str)
@pytest.mark.parametrize("shape", [(), (1,), (0,), (3, 0, 2), (2, 3, 4)], ids=str)
def test_a_tensor_of_every_dtype_and_shape_comes_back_bit_for_bit(dtype, shape):
    raw = torch.randint(0, 2 if dtype == torch.bool else 256, (*shape, dtype.itemsize), dtype=torch.uint8)
    value = raw.reshape(-1).view(dtype).reshape(shape)  # any bits at all: NaN payloads and infinities among them
    assert same(decode(encode(value)), value)


@pytest.mark.parametrize("shape", [(1,), (1, 1), (3,), (2, 1, 3)], ids=str)
def test_a_number_spread_over_a_batch_comes_back(shape):
    """`tau.expand(len(x))`: stride 0, which for one row counts as contiguous."""
    value = torch.tensor(0.3).expand(shape)
    assert same(decode(encode(value)), torch.full(shape, 0.3))


def test_a_view_a_transpose_and_a_tensor_with_history_arrive_as_their_values():
    base = torch.arange(12.0).reshape(3, 4)
    assert same(decode(encode(base.T)), base.T.contiguous())
    assert same(decode(encode(base[1:, ::2])), base[1:, ::2].contiguous())
    assert same(decode(encode(base[0].expand(2, 4))), base[0].repeat(2, 1))
    assert same(decode(encode(torch.complex(base, base).conj())), torch.complex(base, -base))
    learned = torch.nn.Parameter(base.clone()) * 2
    arrived = decode(encode(learned))
    assert same(arrived, 2 * base) and not arrived.requires_grad


def test_what_arrives_can_be_written_into_without_touching_the_frame():
    frame = encode(torch.zeros(3))
    decode(frame).add_(1)
    assert same(decode(frame), torch.zeros(3))


@pytest.mark.parametrize("value", [0.0, -0.0, 0.1, 1e308, 5e-324, math.inf, -math.inf, math.nan])
def test_every_float_arrives_exactly(value):
    assert same(decode(encode(value)), value)


@pytest.mark.parametrize("value", [None, True, False, 0, -(2**200), "", "ζ \x00 \"'", [], (), {}, [[], ()], {"f": 1.5}])
def test_plain_values_keep_their_type(value):
    assert same(decode(encode(value)), value)


def test_subclasses_of_plain_types_arrive_as_the_plain_type():
    assert same(decode(encode(np.float64(0.5))), 0.5)


def test_random_trees_come_back():
    rng = random.Random(0)

    def tree(depth):
        kind = rng.randrange(9 if depth else 6)
        if kind < 6:
            number = rng.choice([0.5, math.inf, -(10**30), 7])
            leaves = [
                None,
                rng.random() < 0.5,
                number,
                str(rng.random()),
                torch.rand(rng.randrange(3)),
                Handle(1, "a", "b"),
            ]
            return leaves[kind]
        items = [tree(depth - 1) for _ in range(rng.randrange(4))]
        return [items, tuple(items), {str(i): item for i, item in enumerate(items)}][kind - 6]

    for _ in range(200):
        value = tree(4)
        assert same(decode(encode(value)), value)


def test_references_cross_and_are_resolved():
    references = [Handle(3, "module", "VAE"), Callback(1), Source("f = abs", "f")]
    assert decode(encode(references)) == references
    assert decode(encode(references), resolve=lambda reference: type(reference).__name__) == [
        "Handle",
        "Callback",
        "Source",
    ]
    assert decode(encode([len], refer=lambda value: Callback(0))) == [Callback(0)]


def test_a_source_runs_to_the_name_it_defines():
    assert Source("def f(z):\n    return torch.floor(z)", "f").run()(torch.tensor(1.5)) == 1.0


class Odd:
    pass


@pytest.mark.parametrize(
    "value",
    [
        Odd(),
        {1, 2},
        b"bytes",
        1j,
        len,
        {1: "an integer key"},
        np.float32(1.0),
        np.zeros(3),
        torch.eye(2).to_sparse(),
        torch.zeros(1).expand(10**12),
        torch.zeros(2, device="meta"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_nothing_else_crosses(value):
    with pytest.raises(WireError):
        encode([value])


def test_endless_nesting_is_refused_both_ways():
    value: list = []
    value.append(value)
    with pytest.raises(WireError, match="deep"):
        encode(value)
    tree: dict = {"l": []}
    for _ in range(MAX_DEPTH + 2):
        tree = {"l": [tree]}
    with pytest.raises(WireError, match="deep"):
        decode(framed(tree))


def framed(tree, blob: bytes = b"") -> bytes:
    header = json.dumps(tree).encode()
    return struct.pack(">I", len(header)) + header + blob


HOSTILE = {
    "nothing": b"",
    "three bytes": b"\x00\x00\x00",
    "a length beyond the end": b"\xff\xff\xff\xff{}",
    "no JSON": struct.pack(">I", 3) + b"abc",
    "no UTF-8": struct.pack(">I", 2) + b"\xff\xfe",
    "a bare number": framed(3),
    "a bare list": framed([1, 2]),
    "an empty object": framed({}),
    "two kinds at once": framed({"i": "1", "f": "0x1p0"}),
    "an unknown kind": framed({"pickle": "gASVAAAA"}),
    "a wordy float": framed({"f": "much"}),
    "a list for a float": framed({"f": [1]}),
    "an endless integer": framed({"i": "9" * 100_000}),
    "a dict for a list's items": framed({"l": 4}),
    "a list for a dict": framed({"d": [1]}),
    "bytes left over": framed(None, b"x"),
    "a tensor cut short": framed({"t": ["float64", [4]]}, b"\x00" * 31),
    "a tensor without shape": framed({"t": ["float64"]}),
    "a dtype that is none": framed({"t": ["object", [1]]}, b"\x00" * 8),
    "a dtype that cannot be a key": framed({"t": [[], [1]]}),
    "a negative size": framed({"t": ["uint8", [-4]]}, b"\x00" * 4),
    "two negative sizes": framed({"t": ["uint8", [-2, -2]]}, b"\x00" * 4),
    "a huge size": framed({"t": ["uint8", [2**62]]}),
    "a huge size times zero": framed({"t": ["uint8", [0, 2**80]]}),
    "a fractional size": framed({"t": ["uint8", [1.5]]}, b"\x00"),
    "a boolean size": framed({"t": ["uint8", [True]]}, b"\x00"),
    "a handle of one field": framed({"h": [1]}),
    "a handle with a wordy number": framed({"h": ["x", "module", "m"]}),
    "a callback that is a list": framed({"c": []}),
    "a source without a name": framed({"s": ["f = 1"]}),
    "brackets without end": struct.pack(">I", 100_000) + b"[" * 100_000,
}


@pytest.mark.parametrize("frame", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_frame_raises_wire_error_alone(frame):
    with pytest.raises(WireError):
        decode(frame)


def test_a_damaged_frame_raises_wire_error_or_gives_some_value():
    """Whatever bit is flipped or wherever the frame is cut: no other exception, no crash."""
    frame = encode({"value": [torch.rand(2, 3), 1.5, "text", (None, True, -7)]})
    rng = random.Random(1)
    for _ in range(3000):
        bad = bytearray(frame[: rng.randrange(len(frame)) + 1] if rng.random() < 0.2 else frame)
        for _ in range(rng.randrange(1, 4)):
            bad[rng.randrange(len(bad))] = rng.randrange(256)
        try:
            decode(bytes(bad))
        except WireError:
            continue


def test_a_permuted_tensor_arrives_permuted_where_that_is_asked_for():
    values = torch.arange(24.0).reshape(2, 3, 4).permute(2, 0, 1)
    (sent,) = decode(encode([values], layouts=True))
    assert torch.equal(sent, values) and sent.stride() == values.stride()
    assert decode(encode(values)).is_contiguous()


@pytest.mark.parametrize("order", [[0, 0], [0], [2, 1], ["0", 1], {}])
def test_an_order_of_axes_that_is_none_is_refused(order):
    frame = encode(torch.zeros(2, 3).T, layouts=True)
    with pytest.raises(WireError):
        decode(frame.replace(b"[1,0]", json.dumps(order, separators=(",", ":")).encode().ljust(5)))
