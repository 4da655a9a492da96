"""The student's side of a call as it would be on a machine with a GPU: what is handed over lies on the pretended
device, and so do modules once they are made.

Where an answer would first stop there, or leave its result behind on the CPU, is noted for a request beside those of
`responder`:

- refused (): what has been noted since it was last asked, None where nothing was. `kind` is "met" (a tensor of the CPU
  met one of the GPU), "left" (the answer is on the CPU), "array" (NumPy was given a tensor of the GPU) or "generator"
  (one of the CPU was to draw on the GPU); `maker` is the function of torch that made the tensor of the CPU, `before`
  whether it did so before the answer was called, `line` the student's own line and `place` where that stands, `like`
  the argument whose device the tensor should have had; each "" where it is not known.

Only what ends the student's own call is noted: an answer that catches the error, or ends in another, has nothing noted.
"""

from __future__ import annotations

import inspect
import linecache
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode, get_default_nowrap_functions

from .pretend_gpu import NAME, POSSIBLE, NoArray, OtherDevice, OtherGenerator, Refusal, pretend_gpu
from .responder import Ask, Responder, own_code
from .whereabouts import MAKERS
from .wire import Callback, Handle, Source

KINDS = {OtherDevice: "met", OtherGenerator: "generator", NoArray: "array"}
_entered = ExitStack()  # never left
_calls = 0  # of answers, so far


@dataclass(frozen=True)
class Made:
    """Where a tensor of the CPU comes from: a function of torch, a line of the student's, and during which call."""

    maker: str
    file: str
    line: int
    call: int


@contextmanager
def there() -> Iterator[None]:
    """A block in which there is a GPU, and it is known of every tensor where it comes from."""
    with pretend_gpu(), _Origins():
        yield


def settle() -> str:
    """Move this process there for good; the device's name. Raises RuntimeError where there can be none."""
    if not POSSIBLE:
        raise RuntimeError("this PyTorch knows no devices made in Python, or has a real GPU")
    _entered.enter_context(there())
    return NAME


class _Origins(TorchFunctionMode):
    """Notes of every tensor of the CPU where it was made, or where that was of which it was computed."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        try:
            value = func(*args, **(kwargs or {}))
        except OtherDevice as error:
            error.made = getattr(error, "made", None) or _origin((args, kwargs))  # type: ignore[attr-defined]
            raise
        if type(value) is Tensor and not hasattr(value, "made"):
            name = getattr(func, "__name__", "")
            made = _made(name) if name in MAKERS else _origin((args, kwargs))
            if made is not None:
                value.made = made  # type: ignore[attr-defined]
        return value


def _made(maker: str) -> Made:
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and not own_code(frame.f_code.co_filename):
        frame = frame.f_back
    place = (frame.f_code.co_filename, frame.f_lineno) if frame else ("", 0)
    return Made(maker, *place, _calls)


def _origin(value: Any) -> Made | None:
    return next((made for x in _tensors(value) if (made := getattr(x, "made", None)) is not None), None)


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        yield from _tensors(list(value.values()))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _tensors(item)


def _there(value: Any) -> bool:
    """Whether a value is a tensor of the GPU; under `torch.func` it is wrapped, and then its type does not say so."""
    return isinstance(value, Tensor) and value.device.type == NAME


def _behind(value: Any) -> list[Tensor]:
    """The tensors of the CPU in a value, but for single numbers, which may be anywhere."""
    return [x for x in _tensors(value) if not _there(x) and x.ndim]


def _placed(value: Any) -> Any:
    """A value with its tensors, and its modules, on the GPU."""
    if isinstance(value, torch.nn.Module):
        return _moved(value)
    if isinstance(value, Tensor) and not (_there(value) or callable(value)):
        moved = value.to(NAME)
        return moved.detach().requires_grad_() if value.is_leaf and value.requires_grad else moved
    return _mapped(_placed, value)


def _moved(module: torch.nn.Module) -> torch.nn.Module:
    """The module with its parameters there; as on the way to a real GPU they stay the same objects where they can."""
    future = torch.__future__
    try:
        future.set_swap_module_params_on_conversion(True)
        return module.to(NAME)
    except RuntimeError:  # of a parameter that something hangs on
        future.set_swap_module_params_on_conversion(False)
        return module.to(NAME)
    finally:
        future.set_swap_module_params_on_conversion(False)


def _mapped(function: Callable[[Any], Any], value: Any) -> Any:
    if isinstance(value, dict):
        return {key: function(item) for key, item in value.items()}
    return type(value)(map(function, value)) if type(value) in (list, tuple) else value


def _here(value: Any) -> Any:
    """A value with its tensors on the CPU."""
    return value.cpu() if _there(value) else _mapped(_here, value)


def _called(function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """A function of the course's, called as a network of the GPU would be: it computes where its constants are, refuses
    tensors of the CPU, and answers there.
    """
    _refuse(args, kwargs)
    return _placed(function(*_here(args), **_here(kwargs)))


def _refuse(*handed: Any) -> None:
    if behind := _behind(list(handed)):
        error = OtherDevice("Expected all tensors to be on the same device")
        error.made = _origin(behind)  # type: ignore[attr-defined]
        raise error


class _Given:
    """An object of the course's that can be called."""

    def __init__(self, function: Any) -> None:
        self._function = function

    def __getattr__(self, name: str) -> Any:
        return getattr(self._function, name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return _called(self._function, args, kwargs)


def _given(value: Any) -> Any:
    """What a `Source` of the course's defines, as it is found on a machine with a GPU."""
    if isinstance(value, type | torch.nn.Module) or not callable(value):
        return _placed(value)
    if not isinstance(value, Tensor):
        return _Given(value)
    kind: Any = type(value)  # weights that can be called, and are leaves to differentiate by

    class Weights(kind):
        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            return _called(super().__call__, args, kwargs)

        @classmethod
        def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            with torch._C.DisableTorchFunctionSubclass():
                value = func(*args, **(kwargs or {}))
            return value if func in get_default_nowrap_functions() else kept(value)

    def kept(value: Any) -> Any:
        return value.as_subclass(Weights) if type(value) is Tensor else _mapped(kept, value)

    return value.as_subclass(Weights)


class Abroad(Responder):
    """Answers requests about `namespace` as a machine with a GPU would."""

    def __init__(self, namespace: dict[str, Any]) -> None:
        super().__init__(namespace)
        self._found: dict[str, Any] | None = None

    def _arrived(self, value: Any) -> Any:
        return _placed(value)

    def _resolve(self, reference: Handle | Callback | Source, ask: Ask | None) -> Any:
        value = super()._resolve(reference, ask)
        if isinstance(reference, Source):
            return _given(value)
        return value

    def _remote(self, number: int, ask: Ask | None) -> Callable[..., Any]:
        function = super()._remote(number, ask)

        def callback(*args: Any, **kwargs: Any) -> Any:
            _refuse(args, kwargs)
            return function(*args, **kwargs)

        return callback

    def _target(self, target: Any, method: str | None) -> Callable[..., Any]:
        function = super()._target(target, method)

        def asked(*args: Any, **kwargs: Any) -> Any:
            global _calls
            _calls += 1
            try:
                value = function(*args, **kwargs)
            except Refusal as error:
                made = getattr(error, "made", None)
                self._note(KINDS[type(error)], made, made if made and made.line else _failed(error), function, args)
                raise
            behind = _behind(value)
            if behind and any(map(_there, _tensors(args))):
                self._note("left", _origin(behind), _origin(behind), function, args)
            return _placed(value)

        return function if isinstance(function, _Given) else asked

    def _note(self, kind: str, made: Made | None, place: Made | None, function: Any, args: Sequence[Any]) -> None:
        if self._found is None:
            self._found = {
                "kind": kind,
                "maker": made.maker if made else "",
                "before": made is not None and made.call != _calls,
                "line": linecache.getline(place.file, place.line) if place else "",
                "place": f"{place.file}:{place.line}" if place and place.line else "",
                "like": _like(function, args),
            }

    def _refused(self) -> dict[str, Any] | None:
        found, self._found = self._found, None
        return found

    def _elsewhere(self, target: Any, args: list, method: str | None = None) -> str | None:
        return None  # it has a pretended device of its own


def _like(function: Any, args: Sequence[Any]) -> str:
    """The name of the first argument that is on the GPU."""
    try:
        names = list(inspect.signature(getattr(function, "forward", function)).parameters)
    except (TypeError, ValueError):
        return ""
    return next((name for name, x in zip(names, args, strict=False) if _there(x)), "")


def _failed(error: BaseException) -> Made | None:
    """The student's own line in which an error was raised."""
    frames = [(frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    own = [Made("", file, line, _calls) for file, line in frames if own_code(file)]
    return own[-1] if own else None
