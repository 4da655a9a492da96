"""What a function reads besides its arguments, so that one can tell whether any of it has changed.

A recorded CUDA graph is right for as long as the function would launch the same kernels on the same addresses: its
code, the numbers of the host that it meets, and where its tensors lie must be those of the recording. The numbers
within these tensors may change; a graph reads them anew. `reads` lists all that; two equal lists mean one recording.
"""

import builtins
import dis
import functools
import types
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

TRUSTED = {"builtins", "math", "numpy", "torch"}  # whose functions and classes stay as they are
BY_NAME = {"eval", "exec", "getattr", "globals", "locals", "open", "vars", "__import__"}  # reach what no code names
PLAIN = {
    type(None),
    type(...),
    bool,
    int,
    str,
    bytes,
    range,
    torch.dtype,
    torch.device,
    torch.Size,
    torch.memory_format,
}
OF_A_CLASS = {"__doc__", "__module__", "__qualname__", "__annotations__", "__dict__", "__weakref__", "__hash__"}
OF_A_CLASS |= {"__dataclass_fields__", "__dataclass_params__", "__match_args__", "__orig_bases__", "__parameters__"}
OF_A_CLASS |= {"__firstlineno__", "__static_attributes__", "__annotate_func__", "__annotations_cache__"}
LARGEST = 4096  # numbers of a tensor of the host, which are compared one by one


class _Plain:
    """An object that holds its `__dict__` and nothing else."""


class Unseen(Exception):
    """Something whose changes cannot be seen."""


def reads(function: Any, device: torch.device) -> tuple[Hashable, ...] | None:
    """All that `function` and what it calls read, as a value that is equal for as long as none of it has changed.

    Tensors on `device` count by their place in memory, shape and dtype, everything else by its value: numbers,
    containers, other tensors, the code of functions, the state of modules and plain objects. Nothing is kept alive
    but code.

    Returns:
        None where there is something whose changes could not be seen: a generator, a file, an object without a
        `__dict__`, a lookup by name such as `globals()`.
    """
    look = _Look(device)
    try:
        look.at(function)
        look.packages_to_the_end()
    except Unseen:
        return None
    return tuple(look.found)


def settings(device: torch.device) -> tuple[Hashable, ...]:
    """What PyTorch is told apart from a function, by which it chooses its kernels on `device`, and the stream there."""
    backends: Any = torch.backends
    cudnn, products = backends.cudnn, backends.cuda.matmul
    stream = torch.cuda.current_stream(device).cuda_stream if device.type == "cuda" else None
    autocast = torch.get_autocast_dtype(device.type) if torch.is_autocast_enabled(device.type) else None
    # The newer names: the older ones refuse to answer where somebody has set these.
    precision = [part.fp32_precision for part in (products, cudnn.conv, cudnn.rnn)]
    choices = cudnn.enabled, cudnn.benchmark, cudnn.deterministic, torch.are_deterministic_algorithms_enabled()
    return stream, autocast, torch.get_default_dtype(), torch.is_inference_mode_enabled(), *precision, *choices


class _Look:
    """One round through all that can be reached; `found` grows."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.found: list[Hashable] = []
        self.seen: dict[int, int] = {}
        self.alive: list[Any] = []  # so that no id stands for two objects
        self.kinds: set[type] = set()
        self.names: set[str] = set()  # all that any code met so far may say after a dot
        self.packages: dict[str, types.ModuleType] = {}

    def at(self, value: Any) -> None:
        """Note `value` and all that can be reached from it."""
        if type(value) in PLAIN:
            return self.found.append((type(value), value))
        if isinstance(value, float | complex | np.generic):
            return self.found.append((type(value), repr(value)))  # -0.0 is not 0.0, nan is nan
        if id(value) in self.seen:
            return self.found.append(("again", self.seen[id(value)]))
        self.seen[id(value)] = len(self.found)
        self.alive.append(value)
        if isinstance(value, Tensor):
            self.tensor(value)
        elif isinstance(value, nn.Module):
            self.module(value)
        elif isinstance(value, types.ModuleType):
            self.package(value)
        elif isinstance(value, type):
            self.kind(value)
        elif type(value) in (list, tuple, set, frozenset, dict, OrderedDict):
            self.container(value)
        elif isinstance(value, np.ndarray):
            self.numbers(value)
        else:
            self.callable_or_object(value)

    def every(self, *values: Any) -> None:
        for value in values:
            self.at(value)

    def tensor(self, value: Tensor) -> None:
        if value.layout is not torch.strided or value.is_quantized:
            raise Unseen(value.layout)
        if value.device.type != self.device.type:
            return self.numbers(value.detach().resolve_conj().resolve_neg().cpu().numpy())
        place = value.data_ptr(), value.dtype, value.shape, value.stride(), value.device.index
        self.found.append((type(value), *place, value.is_conj(), value.is_neg()))
        if value.__dict__:
            self.at(value.__dict__)

    def numbers(self, value: np.ndarray) -> None:
        if value.size > LARGEST or value.dtype.hasobject:
            raise Unseen(value.shape)
        self.found.append((value.dtype.str, value.shape, value.tobytes()))

    def container(self, value: Any) -> None:
        if isinstance(value, set | frozenset):
            if not all(type(member) in PLAIN for member in value):
                raise Unseen(type(value))
            return self.found.append((type(value), frozenset((type(member), member) for member in value)))
        self.found.append((type(value), len(value)))
        if isinstance(value, dict):
            self.every(*value)
            value = value.values()
        self.every(*value)

    def module(self, value: nn.Module) -> None:
        """Its class and all it holds: mode, parameters, buffers, parts, hooks, and numbers of its own."""
        self.kind(type(value))
        for name, held in vars(value).items():
            if type(held) in PLAIN:
                self.found.append((name, type(held), held))
            elif type(held) in (dict, OrderedDict):
                if held:
                    self.found.append((name, *held))
                    self.every(*held.values())
            else:
                self.found.append(name)
                self.at(held)

    def package(self, value: types.ModuleType) -> None:
        self.found.append(value.__name__)
        if not _trusted(value.__name__):
            self.packages[value.__name__] = value

    def packages_to_the_end(self) -> None:
        """Of each module of Python, all that some code may mean by a name after a dot; it may lead to more code."""
        done: set[tuple[str, str]] = set()
        while True:
            asked = {(place, name) for place, held in self.packages.items() for name in self.names & vars(held).keys()}
            if not asked - done:
                return
            for place, name in sorted(asked - done):
                self.found.append((place, name))
                self.at(vars(self.packages[place])[name])
            done |= asked

    def kind(self, value: type) -> None:
        """A class: what it and its bases define, as far as they are not a library's."""
        for base in value.__mro__:
            if _trusted(base.__module__):
                self.found.append(base)
                continue
            self.found.append((base.__module__, base.__qualname__))
            if base not in self.kinds:
                self.kinds.add(base)
                for name, held in vars(base).items():
                    if name not in OF_A_CLASS:
                        self.found.append(name)
                        self.at(held)

    def callable_or_object(self, value: Any) -> None:
        if isinstance(value, types.FunctionType):
            self.function(value)
        elif isinstance(value, types.MethodType | staticmethod | classmethod):
            self.every(value.__func__, getattr(value, "__self__", None))
        elif isinstance(value, property):
            self.every(value.fget, value.fset, value.fdel)
        elif isinstance(value, functools.partial):
            self.every(value.func, value.args, value.keywords)
        elif isinstance(value, types.BuiltinFunctionType):  # torch.randn, and x.add_ with its x
            if value.__name__ in BY_NAME:
                raise Unseen(value)
            self.found.append(value.__name__)
            self.at(value.__self__)
        elif isinstance(value, types.MethodDescriptorType | types.WrapperDescriptorType | types.GetSetDescriptorType):
            self.found.append(value)
        elif not hasattr(value, "__dict__"):
            raise Unseen(type(value))
        else:
            if type(value).__basicsize__ != _Plain.__basicsize__ or type(value).__itemsize__:
                raise Unseen(type(value))  # it holds more than its __dict__: slots, or what a list holds
            self.kind(type(value))
            self.at(vars(value))

    def function(self, value: types.FunctionType) -> None:
        """Its code, defaults, closure, and the globals that its code names."""
        self.found.append(value.__code__)
        for cell in value.__closure__ or ():
            try:
                self.at(cell.cell_contents)
            except ValueError:
                raise Unseen("an empty cell") from None
        self.every(value.__defaults__, value.__kwdefaults__)
        if value.__dict__:
            self.at(value.__dict__)
        if _trusted(value.__module__ or ""):
            return
        names, after_a_dot = _names(value.__code__)
        self.names |= after_a_dot
        for name in names:
            if name in value.__globals__:
                self.at(value.__globals__[name])
            elif name in BY_NAME or not hasattr(builtins, name):
                raise Unseen(name)


def _trusted(name: str) -> bool:
    return name.partition(".")[0] in TRUSTED


@functools.lru_cache(maxsize=1024)
def _names(code: types.CodeType) -> tuple[tuple[str, ...], frozenset[str]]:
    """The global names that `code` and the code within it read, and all names in it.

    Raises:
        Unseen: it imports.
    """
    found: dict[str, None] = {}
    every = set(code.co_names)
    for step in dis.get_instructions(code):
        if step.opname == "IMPORT_NAME":
            raise Unseen(step.argval)
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            found[step.argval] = None
    for part in code.co_consts:
        if isinstance(part, types.CodeType):
            names, inner = _names(part)
            found |= dict.fromkeys(names)
            every |= inner
    return tuple(found), frozenset(every)
