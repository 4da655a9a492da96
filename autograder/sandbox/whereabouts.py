"""What a GPU would refuse, found without one: tensors that are made on the CPU though the inputs are elsewhere.

While a `Whereabouts` is entered, every tensor counts as being on the GPU, the inputs first of all, but for those made
without `device=` and what is computed from these alone: they are `Here`. Whoever mixes the two gets the error that CUDA
would raise. What cannot be followed (NumPy, `torch.vmap`) counts as being there, so that nobody is refused wrongly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

THERE = torch.device("cuda", 0)
MAKERS = frozenset(
    (
        *("arange", "as_tensor", "asarray", "empty", "eye", "from_numpy", "full", "linspace", "logspace", "ones"),
        *("rand", "randint", "randn", "randperm", "range", "tensor", "tril_indices", "triu_indices", "zeros"),
    )
)
TAKES_OVER = frozenset(("as_tensor", "asarray", "tensor"))  # a tensor stays where it is, a list of them does not
MOVES = frozenset(("to", "cpu", "cuda", "type_as"))
SHAPES = frozenset(("expand_as", "view_as", "reshape_as"))  # of the second tensor no more is wanted than its shape
WRITES = frozenset(("__setitem__", "copy_", "__set__"))


class OtherDevice(RuntimeError):
    """A tensor of the CPU met one of the GPU."""


class Here(Tensor):
    """A tensor that was made on the CPU, and what comes of it."""


class Whereabouts(TorchFunctionMode):
    """Within the block, tensors of the CPU and of the pretended GPU cannot be mixed."""

    _paused = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if self._paused:
            return func(*args, **kwargs)
        name = getattr(func, "__name__", "")
        if name == "__get__":
            return _property(func, args[0])
        tensors = list(_tensors((args, kwargs)))
        if name in MAKERS and not (name in TAKES_OVER and args and isinstance(args[0], Tensor)):
            there, kwargs = _place(kwargs)
            return _marked(func(*args, **kwargs), not there)
        if name in MOVES:
            return _moved(func, name, args, kwargs)
        here = [tensor for tensor in tensors if isinstance(tensor, Here)]
        if here and _refused(name, args, tensors):
            raise OtherDevice(name)
        device, kwargs = (None, kwargs) if "device" not in kwargs else _place(kwargs)
        value = func(*args, **kwargs)
        if device is not None:
            return _marked(value, not device)
        return value if len(here) in (0, len(tensors)) or name in WRITES | SHAPES else _marked(value, False)

    def refusal(self, function: Callable[..., Any], args: Iterable[Any]) -> str | None:
        """Where a GPU would refuse `function(*args)`, as the name of an operation; "return" where the answer is left on
        the CPU, "" where all is well. None where the call ends in another error: that is for others to tell.
        """
        given = [self.model(a) if callable(a) and not isinstance(a, torch.nn.Module) else a for a in args]
        try:
            with torch.enable_grad(), self:
                value = function(*given)
        except OtherDevice as error:
            return str(error)
        except Exception:
            return None
        return "return" if any(isinstance(tensor, Here) and tensor.ndim for tensor in _tensors(value)) else ""

    def model(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function` as it is called on a GPU: it refuses tensors of the CPU, and answers there."""

        def asked(*args: Any, **kwargs: Any) -> Any:
            if any(isinstance(tensor, Here) and tensor.ndim for tensor in _tensors((args, kwargs))):
                raise OtherDevice("the call of a function that was handed over")
            before, self._paused = self._paused, True
            try:
                return function(*args, **kwargs)
            finally:
                self._paused = before

        return asked


def _refused(name: str, args: Any, tensors: list[Tensor]) -> bool:
    """Whether CUDA would refuse, some of the tensors being `Here`: a single number may be, and so may indices."""
    if name == "__getitem__" and not isinstance(args[0], Here):
        return False
    if name in WRITES:  # values are carried over
        return name == "__setitem__" and isinstance(args[0], Here) and _elsewhere(_tensors(args[1]))
    if name in SHAPES:
        return False
    return _elsewhere(tensors) and any(isinstance(tensor, Here) and tensor.ndim for tensor in tensors)


def _elsewhere(tensors: Iterable[Tensor]) -> bool:
    return any(not isinstance(tensor, Here) for tensor in tensors)


def _property(func: Any, tensor: Tensor) -> Any:
    owner = getattr(func, "__self__", None)
    if not isinstance(tensor, Here):
        if owner is Tensor.device:
            return THERE
        if owner is Tensor.is_cuda:
            return True
    return func(tensor)


def _place(kwargs: dict[str, Any]) -> tuple[bool, dict[str, Any]]:
    """Whether `device=` names the pretended GPU, and the arguments with the CPU in its place."""
    wanted = kwargs.get("device")
    return _names_gpu(wanted), kwargs if wanted is None else {**kwargs, "device": torch.device("cpu")}


def _names_gpu(device: Any) -> bool:
    return isinstance(device, int) or (device is not None and torch.device(device).type == THERE.type)


def _moved(func: Any, name: str, args: Any, kwargs: dict[str, Any]) -> Any:
    """`to`, `cpu`, `cuda` and `type_as`: the numbers stay, and the tensor is where it was asked to be."""
    tensor, *rest = args
    devices = [a for a in (*rest, kwargs.get("device")) if isinstance(a, torch.device | str)]
    others = [a for a in (*rest, kwargs.get("other")) if isinstance(a, Tensor)]
    here = isinstance(tensor, Here)
    if name != "to":
        here = name == "cpu" or (name == "type_as" and isinstance(others[0], Here))
    elif devices:
        here = not _names_gpu(devices[0])
    elif others:
        here = isinstance(others[0], Here)
    if name == "cuda":
        return _marked(tensor.clone(), False)
    cpu = [torch.device("cpu") if isinstance(a, torch.device | str) else a for a in rest]
    return _marked(func(tensor, *cpu, **_place(kwargs)[1]), here)


def _marked(value: Any, here: bool) -> Any:
    """A result with its tensors on the one side or on the other."""
    if isinstance(value, Tensor):
        wrong = isinstance(value, Here) != here
        return value.as_subclass(Here if here else Tensor) if wrong else value
    if isinstance(value, tuple) and hasattr(value, "n_sequence_fields"):
        return type(value)([_marked(item, here) for item in value])
    return type(value)(_marked(item, here) for item in value) if type(value) in (list, tuple) else value


def _tensors(value: Any) -> Iterable[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _tensors(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _tensors(item)
