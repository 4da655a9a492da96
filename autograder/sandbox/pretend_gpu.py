"""A GPU that is none, for machines without: tensors that say they are elsewhere, keep their numbers on the CPU, and
refuse what a GPU refuses.

Built on PyTorch's device for others' backends (PrivateUse1) and on `TorchDispatchMode`, below autograd: every operation
ends here. One that mixes tensors of both sides raises, as on CUDA, and what makes the host wait is counted in `WAITS`.
Speed, memory, CUDA's graphs and its kernels' rounding it cannot tell anything of.
"""

from __future__ import annotations

import contextlib
import inspect
from collections import Counter
from collections.abc import Iterator
from typing import Any, ClassVar

import torch
import torch.utils.backend_registration as backends
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

NAME, CPU = "pretend", torch.device("cpu")
# Where there is a real one, autograd would take its streams from the pretended.
POSSIBLE = hasattr(backends, "_setup_privateuseone_for_python_backend") and not torch.cuda.is_available()
if POSSIBLE:  # before the first backward pass of this process: autograd counts the devices then, and never again
    backends._setup_privateuseone_for_python_backend(NAME)
WAITS: Counter[str] = Counter()

aten = torch.ops.aten
CROSSES = {aten.copy_.default, aten._to_copy.default}
TAKES_BOTH = CROSSES | {aten._pack_padded_sequence.default}  # lengths, which are wanted on the CPU
# A table on the GPU takes indices of the CPU, which are carried there.
LOOKS_UP = {aten.index.Tensor, aten.index_put_.default, aten.index_put.default, aten._index_put_impl_.default}
# The shape of the result, or a number for the host, depends on values.
READS = {
    aten._local_scalar_dense.default,
    aten.nonzero.default,
    aten.masked_select.default,
    aten.equal.default,
    aten.allclose.default,
    aten.bincount.default,
    aten._unique2.default,
    aten.unique_dim.default,
    aten.repeat_interleave.Tensor,
}
MAY_WAIT, COPIES, SEVERAL = CROSSES | LOOKS_UP | READS, aten.copy_.default, (list, tuple)


class Refusal(Exception):
    """What a GPU would not do: also an error of the kind that CUDA raises."""


class OtherDevice(Refusal, RuntimeError):
    """Tensors of both sides met in one operation."""


class OtherGenerator(Refusal, RuntimeError):
    """A generator of one side was to draw on the other."""


class NoArray(Refusal, TypeError):
    """NumPy was given a tensor of the GPU."""


class OnGpu(Tensor):
    """A tensor on the pretended device; `held` has the numbers."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> OnGpu:  # noqa: ANN001
        layout: dict[str, Any] = dict(strides=held.stride(), storage_offset=held.storage_offset(), dtype=held.dtype)
        made = Tensor._make_wrapper_subclass(cls, held.shape, device=torch.device(NAME, 0), **layout)
        made.held = held
        return made

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        return f"OnGpu({self.held!r})"

    def __format__(self, spec: str) -> str:
        return self.item().__format__(spec) if self.ndim == 0 else repr(self)  # as of a tensor proper

    @property
    def data(self) -> Any:
        return Tensor.data.__get__(self)  # type: ignore[attr-defined]

    @data.setter
    def data(self, value: Any) -> None:
        Tensor.data.__set__(self, value)  # type: ignore[attr-defined]
        self.held = value.held

    def tolist(self) -> list:
        return self.cpu().tolist()

    def numpy(self, **_: Any) -> Any:
        raise NoArray(f"can't convert {NAME}:0 device type tensor to numpy: copy it to host memory first")

    def __array__(self, *_: Any, **__: Any) -> Any:
        return self.numpy()

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return _compute(func, args, kwargs or {})


class _Gpu(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _compute(func, args, kwargs or {})


# PyTorch wraps it so that torch.compile keeps away: nothing is compiled here, and every operation would pay for it.
_Gpu.__torch_dispatch__ = inspect.unwrap(_Gpu.__torch_dispatch__)  # type: ignore[method-assign]


class _Generator(torch.Generator):
    """A generator of the CPU that says it belongs to the device it was made for."""

    # Those of the pretended device, by their address: an operation gets them in new clothes.
    there: ClassVar[dict[int, Any]] = {}
    said: torch.device

    def __new__(cls, device: Any = "cpu") -> Any:
        made: Any = super().__new__(cls, "cpu")  # type: ignore[call-arg]
        made.said = torch.device(device)
        if made.said.type == NAME:
            cls.there[made._cdata] = made
        return made

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return self.said


def _no_inference(mode: Any = True) -> Any:
    """`torch.inference_mode` as far as it can be had: its tensors can be no others' wrapped ones."""
    if callable(mode):
        return torch.no_grad()(mode)
    return torch.no_grad() if mode else contextlib.nullcontext()


@contextlib.contextmanager
def pretend_gpu() -> Iterator[torch.device]:
    """Within the block there is a device named `NAME`."""
    generator, inference, lifting = torch.Generator, torch.inference_mode, torch._C._only_lift_cpu_tensors()
    torch.Generator, torch.inference_mode = _Generator, _no_inference  # type: ignore[misc, assignment]
    torch._C._set_only_lift_cpu_tensors(True)  # torch.tensor(…, device=…) makes it on the CPU and copies it
    try:
        with _Gpu():
            yield torch.device(NAME, 0)
    finally:
        torch.Generator, torch.inference_mode = generator, inference  # type: ignore[misc]
        torch._C._set_only_lift_cpu_tensors(lifting)


def _compute(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """One operation, as often as a lesson asks: no more is looked at than an operation can hold, tensors and lists of
    tensors.
    """
    ours: list[OnGpu] = []
    others: list[Tensor] = []
    _sort(args, ours, others)
    if kwargs:
        _sort(kwargs.values(), ours, others)
    wanted = kwargs.get("device")
    there = bool(ours) if wanted is None else wanted.type == NAME
    generator = kwargs.get("generator")
    if generator is not None and (generator._cdata in _Generator.there) != there:
        raise OtherGenerator(f"Expected tensors and generator on the same device ({func})")
    if not ours and not there:
        return func(*args, **kwargs)
    if others and ours and func not in TAKES_BOTH and _mixed(func, args, others):
        raise OtherDevice(f"Expected all tensors to be on the same device, but found {NAME}:0 and cpu ({func})")
    if func is COPIES:
        there = isinstance(args[0], OnGpu)
    if func in MAY_WAIT and _waits(func, args, ours, others, there):
        WAITS[str(func)] += 1
    plain = {name: _held(x) for name, x in kwargs.items()}
    if wanted is not None:
        plain["device"] = CPU
    result = func(*[_held(x) for x in args], **plain)
    return _placed(result, there, ours, others)


def _sort(values: Any, ours: list[OnGpu], others: list[Tensor]) -> None:
    for x in values:
        if isinstance(x, OnGpu):
            ours.append(x)
        elif isinstance(x, Tensor):
            others.append(x)
        elif isinstance(x, SEVERAL):
            _sort(x, ours, others)


def _held(x: Any) -> Any:
    if isinstance(x, OnGpu):
        return x.held
    return [_held(one) for one in x] if isinstance(x, SEVERAL) else x


def _placed(x: Any, there: bool, ours: list[OnGpu], others: list[Tensor]) -> Any:
    """A result on its side; what was written into is handed back itself."""
    if isinstance(x, Tensor):
        for one in ours:
            if one.held is x:
                if one.shape != x.shape:  # squeeze_ and the like
                    one.data = OnGpu(x)
                return one
        return OnGpu(x) if there and all(one is not x for one in others) else x
    return type(x)(_placed(one, there, ours, others) for one in x) if isinstance(x, SEVERAL) else x


def _mixed(func: Any, args: Any, others: list[Tensor]) -> bool:
    """Whether there are tensors of the CPU where none may be; a single number always may."""
    if func in LOOKS_UP:
        table, _, *values = args
        others = [x for x in (table, *values) if isinstance(x, Tensor) and not isinstance(x, OnGpu)]
        return not isinstance(table, OnGpu) or any(x.ndim for x in others)
    return any(x.ndim for x in others)


def _waits(func: Any, args: Any, ours: list[OnGpu], others: list[Tensor], there: bool) -> bool:
    if func in CROSSES:
        return (bool(ours) and (bool(others) or not there)) or (there and not ours)
    if func in LOOKS_UP and ours:
        indices = [i for i in args[1] if isinstance(i, Tensor)]
        return any(not isinstance(i, OnGpu) or i.dtype in (torch.bool, torch.uint8) for i in indices)
    return bool(ours) and func in READS
