"""The student's side of a call: holds the names that a notebook defined, and answers requests about them.

A request and its reply are values of `wire`. Requests, by their "op", and the value of the reply:

- call (target, method, args, kwargs, inputs, grad): the returned value; with inputs=True the arguments after the call
  in its place, with inputs="too" both; with grad=False it is called as a sampler would, gradients switched off
- carries (target, method, args, leaves): whether a returned tensor hangs on a graph, the arguments numbered in `leaves`
  being on one; None where none was returned
- elsewhere (target, method, args): where a GPU would refuse the call, by `whereabouts`; None where nobody can say
- gradient (target, method, args, weights, wrt): d/d args[i] of sum_k <weights[k], output k>, for i in wrt
- slopes (target, method, args, weights): the same sum's gradient by parameter name, None where none flows
- parameters (target): {name: tensor} of a module
- load (target, values): None; copies values into the parameters of these names
- grads (target): {name: tensor or None}, what stands in .grad now
- several (target, method, asked): the replies to several requests about one target, each as if it had come alone; one
  of them may name another method
- keep (value): `value` itself, so that what a `Source` defines comes back as a handle

`target` is the name of a function or class of the notebook, or a handle. Every request may carry a "seed" for torch's
global generator, whose state is put back afterwards: an answer depends on the request alone, and asking disturbs
nothing. The reply is {"value": …} or {"error": {…}} with the exception's type, message and the student's own line.
Answering never raises.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from .whereabouts import Whereabouts
from .wire import Callback, Handle, Source, WireError, decode, encode

MAX_MESSAGE = 400
Ask = Callable[[bytes], bytes]


class Undefined(LookupError):
    """A function was asked for that the namespace lacks; across the channel it is known by this type's name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is not defined")
        self.name = name


class Responder:
    """Answers requests about `namespace`; objects that cannot cross stay here under a number."""

    def __init__(self, namespace: dict[str, Any]) -> None:
        self.namespace = namespace
        self.objects: list[Any] = []
        self._stand_ins: tuple[str, ...] = ()

    def answer(self, frame: bytes, ask: Ask | None = None) -> bytes:
        """The reply to one request. `ask(frame)` puts a callback's arguments to the checker and returns its answer."""
        state = torch.get_rng_state()
        try:
            request = self._arrived(decode(frame, lambda reference: self._resolve(reference, ask)))
            seed = request.pop("seed", None)
            with self._standing_in(request.pop("stand_ins", {})):
                value = self._several(seed, **request) if request["op"] == "several" else self._one(seed, **request)
            return encode({"value": value}, self._refer)
        except BaseException as error:
            return encode({"error": describe(error)})
        finally:
            torch.set_rng_state(state)

    def _one(self, seed: int | None, op: str, **request: Any) -> Any:
        if seed is not None:
            torch.default_generator.manual_seed(seed)
        return getattr(self, "_" + op)(**request)

    def _several(self, seed: int | None, op: str, asked: list[dict[str, Any]], **common: Any) -> list[dict[str, Any]]:
        replies = []
        for request in asked:
            try:
                replies.append({"value": _as_of_now(self._one(seed, **{**common, **request}))})
            except Exception as error:  # what stops a call, such as a timeout, stops them all
                replies.append({"error": describe(error)})
        return replies

    @contextmanager
    def _standing_in(self, functions: Mapping[str, Any]) -> Iterator[None]:
        """The namespace with `functions` in the places of their names."""
        own = {name: self.namespace.get(name) for name in functions}
        self.namespace.update(functions)
        self._stand_ins = tuple(functions)
        try:
            yield
        finally:
            for name, value in own.items():
                if value is None:
                    self.namespace.pop(name, None)
                else:
                    self.namespace[name] = value

    def _arrived(self, value: Any) -> Any:
        """What has come across, as the student's code is to find it."""
        return value

    def _refer(self, value: Any) -> Handle | None:
        kinds = {torch.nn.Module: "module", torch.optim.Optimizer: "optimizer", type: "class"}
        kind = next((name for base, name in kinds.items() if isinstance(value, base)), None)
        if kind is None and not callable(value):
            return None
        self.objects.append(value)
        return Handle(len(self.objects) - 1, kind or "callable", str(getattr(value, "__name__", type(value).__name__)))

    def _resolve(self, reference: Handle | Callback | Source, ask: Ask | None) -> Any:
        match reference:
            case Handle():
                return self.objects[reference.id]
            case Source():
                return reference.run()
            case Callback():
                return self._remote(reference.id, ask)

    def _remote(self, number: int, ask: Ask | None) -> Callable[..., Any]:
        def put(**call: Any) -> Any:
            if ask is None:
                raise WireError("nobody answers callbacks here")
            reply = decode(ask(encode({"callback": number, **call}, self._refer)))
            if "error" in reply:
                raise ValueError(reply["error"])
            return self._arrived(reply["value"])

        def callback(*args: Any, **kwargs: Any) -> Any:
            floating = [v for v in (*args, *kwargs.values()) if isinstance(v, torch.Tensor) and v.is_floating_point()]
            if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in floating):
                return _Asked.apply(put, args, kwargs, *floating)
            return put(args=args, kwargs=kwargs)

        return callback

    def _target(self, target: Any, method: str | None) -> Callable[..., Any]:
        if isinstance(target, str):
            if not callable(self.namespace.get(target)):
                raise Undefined(target)
            target = self.namespace[target]
        return target if method is None else getattr(target, method)

    def _call(
        self,
        target: Any,
        args: list,
        kwargs: dict,
        method: str | None = None,
        inputs: bool | str = False,
        grad: bool = True,
    ) -> Any:
        with torch.set_grad_enabled(grad):
            value = self._target(target, method)(*args, **kwargs)
        if inputs == "too":
            return [value, list(args)]
        return list(args) if inputs else value

    def _carries(self, target: Any, args: list, method: str | None = None, leaves: Sequence[int] = ()) -> bool | None:
        with torch.enable_grad():
            for i in leaves:
                args[i] = args[i].detach().clone().requires_grad_().clone()
            value = self._target(target, method)(*args)
        parts = [part for part in (value if isinstance(value, tuple) else (value,)) if isinstance(part, torch.Tensor)]
        return any(part.requires_grad for part in parts) if parts else None

    def _elsewhere(self, target: Any, args: list, method: str | None = None) -> str | None:
        places = Whereabouts()
        with self._standing_in({name: places.model(self.namespace[name]) for name in self._stand_ins}):
            return places.refusal(self._target(target, method), args)

    def _gradient(self, target: Any, args: list, weights: list, wrt: list, method: str | None = None) -> Any:
        leaves = [args[i].detach().clone().requires_grad_() for i in wrt]
        with torch.enable_grad():
            for i, leaf in zip(wrt, leaves, strict=True):
                args[i] = leaf.clone()  # so that a function which writes into its input can be differentiated too
            total = _weigh(self._target(target, method)(*args), weights)
            return _differentiate(total, leaves)

    def _slopes(self, target: Any, args: list, weights: list, method: str | None = None) -> Any:
        parameters = dict(target.named_parameters())
        with torch.enable_grad():
            total = _weigh(self._target(target, method)(*args), weights)
            return dict(zip(parameters, _differentiate(total, list(parameters.values())), strict=True))

    def _parameters(self, target: torch.nn.Module) -> dict[str, torch.Tensor]:
        return {name: value.detach().clone() for name, value in target.named_parameters()}

    def _load(self, target: torch.nn.Module, values: dict[str, torch.Tensor]) -> None:
        with torch.no_grad():
            for name, value in target.named_parameters():
                if name in values:
                    value.copy_(values[name])

    def _grads(self, target: torch.nn.Module) -> dict[str, torch.Tensor | None]:
        grads = {name: value.grad for name, value in target.named_parameters()}
        return {name: None if grad is None else grad.clone() for name, grad in grads.items()}

    def _keep(self, value: Any) -> Any:
        return value


class _Asked(torch.autograd.Function):
    """A callback as a node of the graph: the checker answers with the value, and later with the gradient."""

    @staticmethod
    def forward(ctx: Any, put: Callable[..., Any], args: tuple, kwargs: dict, *floating: torch.Tensor) -> Any:
        ctx.put, ctx.call = put, {"args": _cut(args), "kwargs": dict(zip(kwargs, _cut(kwargs.values()), strict=True))}
        return put(**ctx.call)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        return None, None, None, *ctx.put(**ctx.call, grad=grads[0])


def _cut(values: Iterable[Any]) -> list[Any]:
    """The values, tensors as copies that belong to no graph."""
    return [value.detach().clone() if isinstance(value, torch.Tensor) else value for value in values]


def _weigh(outputs: Any, weights: list) -> torch.Tensor:
    """sum_k <weights[k], outputs[k]>, the scalar that is differentiated."""
    outputs = list(outputs) if isinstance(outputs, list | tuple) else [outputs]
    if len(outputs) != len(weights):
        raise ValueError(f"{len(weights)} results expected, {len(outputs)} came")
    terms = [(w * y).sum() for w, y in zip(weights, outputs, strict=True) if w is not None]
    return torch.stack(terms).sum() if terms else torch.zeros(())


def _differentiate(total: torch.Tensor, leaves: list[torch.Tensor]) -> list[torch.Tensor | None]:
    free = [leaf for leaf in leaves if leaf.requires_grad]
    if not total.requires_grad or not free:
        return [None] * len(leaves)
    found = iter(torch.autograd.grad(total, free, allow_unused=True))
    return [next(found) if leaf.requires_grad else None for leaf in leaves]


def own_code(filename: str) -> bool:
    """Whether code of this file stands in a cell of the notebook."""
    return "ipykernel" in filename or filename.startswith("<ipython-input")


def _as_of_now(value: Any, within: int = 3) -> Any:
    """A value whose tensors no later request changes, as it would a view of a weight or a buffer that is used again;
    `within` so many lists, tuples and dictionaries.
    """
    if isinstance(value, torch.Tensor):
        return value.detach().clone()
    if within and type(value) in (list, tuple):
        return type(value)(_as_of_now(part, within - 1) for part in value)
    if within and type(value) is dict:
        return {key: _as_of_now(part, within - 1) for key, part in value.items()}
    return value


def describe(error: BaseException) -> dict[str, Any]:
    """What a student may be told of an exception: its type, Python's own types that it derives from, its message, the
    last line of their own code it passed through, and the name that was not there if it is about one.
    """
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if own_code(frame.filename)]
    return {
        "type": type(error).__name__,
        "bases": [base.__name__ for base in type(error).__mro__ if base.__module__ == "builtins"],
        "message": str(error)[:MAX_MESSAGE],
        "line": (own[-1].line or "")[:MAX_MESSAGE] if own else "",
        "unknown": str(error.name or "")[:MAX_MESSAGE] if isinstance(error, NameError | Undefined) else "",
    }
