"""The student's functions as a hidden check sees them: called by value, across a `Link`.

A check writes `student(mu, logvar)` as if the function were its own. What comes back is a plain value; a module or an
optimiser comes back as a `Remote`, whose methods are called the same way; and whatever goes wrong comes back as a
`Failure`, never as an exception, so that one failing call costs its own outcome and not those after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch

from .bounds import Bounds, TooMuch, within
from .sandbox.responder import Responder, Undefined, describe
from .sandbox.wire import Callback, Handle, WireError, decode, encode

# Said of a name that is not there, where nobody knows more.
UNDEFINED = "the cell that defines it did not run, or is missing"


class Link(Protocol):
    """Carries one request to the student's side and brings the reply back; `serve` answers callbacks meanwhile."""

    def ask(self, frame: bytes, serve: Callable[[bytes], bytes]) -> bytes: ...


class LocalLink:
    """The student's code in this very process: nbgrader's own route, and the tests."""

    def __init__(self, host: Responder) -> None:
        self.host = host

    def ask(self, frame: bytes, serve: Callable[[bytes], bytes]) -> bytes:
        return self.host.answer(frame, serve)


Tell = Callable[["Failure"], str]


class Sitting:
    """A link for as long as one exercise is marked: after a call that had to be stopped for time, none is tried again,
    so that an endless loop costs one call's limit and not that of every check. `tell` puts a failure into words, for
    those who know more of it.
    """

    def __init__(self, link: Link, tell: Tell | None = None) -> None:
        self.link = link
        self.tell = tell
        self.stopped: Failure | None = None
        # Earlier exercises that answer in the student's place while this one is marked.
        self.stand_ins: dict[str, StandIn] = {}

    def ask(self, frame: bytes, serve: Callable[[bytes], bytes]) -> bytes:
        return self.link.ask(frame, serve)


@dataclass(frozen=True)
class StandIn:
    """A right function of the checker's that the student's code finds under the name of an earlier exercise.

    It is called by value like any callback, so nothing of it can be read; gradients go back the same way.
    """

    function: Callable[..., Any]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)

    def pull_back(self, args: list, kwargs: dict[str, Any], grad: torch.Tensor) -> list[torch.Tensor | None]:
        """<grad, d output / d tensor> for each floating tensor among the arguments, in order."""
        leaves: list[torch.Tensor] = []

        def watched(value: Any) -> Any:
            if not isinstance(value, torch.Tensor) or not value.is_floating_point():
                return value
            leaves.append(value.clone().requires_grad_())
            return leaves[-1]

        with torch.enable_grad():
            output = self.function(*map(watched, args), **{key: watched(value) for key, value in kwargs.items()})
            total = (output * grad).sum()  # a gradient handed over to autograd would import sympy
        return list(torch.autograd.grad(total, leaves, allow_unused=True))


class LinkBroken(Exception):
    """The student's side no longer answers: it ended, or had to be ended."""


@dataclass(frozen=True)
class Failure:
    """A call that gave no value. Anything done to it gives the same failure, so it reaches the outcome that needed
    the value.
    """

    kind: str  # "missing" | "stub" | "raised" | "timeout" | "died" | "form"
    message: str
    cause: str = ""  # the exception's type and text, by which two failures are known to be the same
    bases: tuple[str, ...] = ()  # Python's own types of exceptions that it is one of
    unknown: str = ""  # the name that was not there, if that is what went wrong

    def is_a(self, exception: str) -> bool:
        """Whether the call raised an exception of this name, or one that derives from Python's of this name."""
        return self.kind == "raised" and exception in (self.cause.partition(":")[0], *self.bases)

    def __getattr__(self, name: str) -> Failure:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __call__(self, *args: Any, **kwargs: Any) -> Failure:
        return self

    def __getitem__(self, key: Any) -> Failure:
        return self

    def __iter__(self) -> Iterator[Failure]:
        yield self  # once: not the endless sequence that Python would make of __getitem__

    def _absorb(self, *others: Any) -> Failure:
        return self

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = __pow__ = _absorb
    __neg__ = __abs__ = __matmul__ = __rmatmul__ = __lt__ = __gt__ = __le__ = __ge__ = _absorb

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Failure:
        stack: list[Any] = [*args, *(kwargs or {}).values()]
        while stack:
            item = stack.pop(0)
            if isinstance(item, Failure):
                return item
            stack[:0] = item if isinstance(item, list | tuple) else []
        raise TypeError("no failure among the arguments")


class Remote:
    """Something that lives on the student's side: the function under check, a module, an optimiser, a given piece of
    source.
    """

    def __init__(
        self, link: Link, target: str | Handle, method: str | None = None, name: str = "", seed: int = 0
    ) -> None:
        self._link, self._target, self._method, self._seed = link, target, method, seed
        self._name = name or (target if isinstance(target, str) else target.name)
        self._exercise = self._name.partition(".")[0]

    def __getattr__(self, name: str) -> Remote:
        if name.startswith("_"):
            raise AttributeError(name)
        return Remote(self._link, self._target, name, f"{self._name}.{name}", self._seed)

    def __repr__(self) -> str:
        return f"<{self._name} on the student's side>"

    def reseeded(self, seed: int) -> Remote:
        """The same, with torch's global generator at another seed during each call: random answers then differ."""
        return Remote(self._link, self._target, self._method, self._name, seed)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The value of the student's function (or method) at these arguments."""
        return self._ask(op="call", method=self._method, args=list(args), kwargs=kwargs)

    def without_grad(self, *args: Any) -> Any:
        """The value at these arguments when gradients are switched off around the call, as in a sampler's loop."""
        return self._ask(op="call", method=self._method, args=list(args), kwargs={}, grad=False)

    def inputs_after(self, *args: Any) -> Any:
        """The arguments as they stand after a call: equal to those passed in unless the function wrote into them."""
        return self._ask(op="call", method=self._method, args=list(args), kwargs={}, inputs=True)

    def gradient(self, *args: Any, weights: list, wrt: list[int]) -> Any:
        """For each i in `wrt`, d/d args[i] of sum_k <weights[k], output k> (None where no gradient flows)."""
        return self._ask(op="gradient", method=self._method, args=list(args), weights=weights, wrt=wrt)

    def carries(self, *args: Any) -> Any:
        """Whether the answer at these arguments hangs on a graph; None where it is no tensor."""
        return self._ask(op="carries", method=self._method, args=list(args))

    def several(self, *asked: dict[str, Any]) -> list[Any]:
        """What comes of several requests in one crossing, such as {"op": "call", "args": […]}: each a value or its own
        Failure.
        """
        of_all: dict[str, Any] = {"method": self._method} if self._method else {}
        replies = self._ask(op="several", asked=list(asked), **of_all)
        if not isinstance(replies, list) or len(replies) != len(asked) or not all(isinstance(r, dict) for r in replies):
            failure = Failure("form", f"{self._name} gave no answer that can be read")
            return [replies if isinstance(replies, Failure) else failure] * len(asked)
        return [reply["value"] if "value" in reply else self._failure(reply.get("error")) for reply in replies]

    def slopes(self, *args: Any, weights: list) -> Any:
        """{parameter: gradient or None} of sum_k <weights[k], output k>, through this module or its method."""
        return self._ask(op="slopes", method=self._method, args=list(args), weights=weights)

    def parameters(self) -> Any:
        """{name: value} of a module's parameters."""
        return self._ask(op="parameters")

    def load(self, values: dict[str, torch.Tensor]) -> Any:
        """Write `values` into the parameters of the same names."""
        return self._ask(op="load", values=values)

    def grads(self) -> Any:
        """{name: tensor or None}: what stands in each parameter's .grad now."""
        return self._ask(op="grads")

    def refused(self) -> Any:
        """What a pretended GPU has refused so far of what was asked over this link; see `sandbox.abroad`."""
        return self._ask(op="refused", bare=True)

    def make(self, source: Any) -> Any:
        """Run a `Source` on the student's side; what it defines comes back as a `Remote`."""
        return self._ask(op="keep", value=source, bare=True)

    def _ask(self, bare: bool = False, **request: Any) -> Any:
        callbacks: list[Callable[..., Any]] = []

        def refer(value: Any) -> Handle | Callback | None:
            mine = isinstance(value, Remote) and value._link is self._link  # elsewhere its number is another object's
            if mine and isinstance(value._target, Handle) and value._method is None:
                return value._target
            if not callable(value):
                return None
            callbacks.append(value)
            return Callback(len(callbacks) - 1)

        def serve(frame: bytes) -> bytes:
            function: Any = None
            try:
                call = decode(frame, self._resolve)
                function, args, kwargs = callbacks[call["callback"]], list(call["args"]), call["kwargs"]
                within([args, kwargs], "what it was asked with")
                with Bounds():
                    if "grad" in call and isinstance(function, StandIn):
                        return encode({"value": function.pull_back(args, kwargs, call["grad"])})
                    return encode({"value": function(*args, **kwargs)})
            except Exception as error:  # the student called back with something the check did not expect
                said = "" if isinstance(function, StandIn) else f": {error}"  # may quote a right value
                return encode({"error": f"{type(error).__name__}{said}"})

        if isinstance(self._link, Sitting) and self._link.stopped:
            return self._link.stopped
        request["seed"] = self._seed
        if isinstance(self._link, Sitting) and self._link.stand_ins:
            request["stand_ins"] = self._link.stand_ins
        if not bare:
            request["target"] = self._target
        given = _failure_among(request.values())
        if given is not None:
            return given
        try:
            frame = encode(request, refer, layouts=True)
            reply = decode(self._link.ask(frame, serve if callbacks else nobody), self._resolve)
        except LinkBroken as error:
            return Failure("died", str(error))
        except WireError as error:
            return Failure("form", f"{self._name} cannot be called: {error}")
        if not isinstance(reply, dict):
            return Failure("form", f"{self._name} gave no answer that can be read")
        if "value" in reply:
            try:
                within(reply["value"], "it")
            except TooMuch as error:
                return Failure("form", f"{self._name} gave an answer that is too large: {error}")
            return reply["value"]
        failure = self._failure(reply.get("error"))
        if failure.kind == "timeout" and isinstance(self._link, Sitting):
            self._link.stopped = failure
        return failure

    def _resolve(self, reference: Any) -> Any:
        if not isinstance(reference, Handle):  # a Source would be run by the next oracle it is handed to
            raise WireError("a reference of a kind that only a check may send")
        return Remote(self._link, reference, seed=self._seed)

    def _failure(self, error: Any) -> Failure:
        failure = self._read(error if isinstance(error, dict) else {})
        tell = self._link.tell if isinstance(self._link, Sitting) else None
        return replace(failure, message=tell(failure)) if tell else failure

    def _read(self, error: dict[str, Any]) -> Failure:
        kind, message = str(error.get("type", "Error")), str(error.get("message", ""))
        unknown = str(error.get("unknown", ""))
        where = f" in the line `{line.strip()}`" if (line := str(error.get("line", ""))) else ""
        match kind:
            case Undefined.__name__:
                return Failure("missing", f"{message}: {UNDEFINED}", unknown=unknown)
            case "NotImplementedError" if (other := message.partition(":")[0]) and other.isidentifier():
                if other != self._exercise:
                    return Failure("raised", f"{self._name} needs {other}, which is not written yet", cause=message)
                return Failure("stub", f"not written yet ({message})")
            case "NotImplementedError" if not message and "raise NotImplementedError" in where:
                return Failure("stub", "not written yet")
            case "WireError":
                return Failure("form", f"{self._name} returned {message}, which is not a tensor or a plain value")
            case "KeyboardInterrupt":
                return Failure("timeout", f"{self._name} did not finish in time and was stopped{where}")
        said = f": {message}" if message else ""
        text = f"{self._name} raised {kind}{where}{said}"[:600]
        bases = error.get("bases")
        known = tuple(map(str, bases[:32])) if isinstance(bases, list) else ()
        return Failure("raised", text, cause=f"{kind}: {message}", bases=known, unknown=unknown)


def nobody(frame: bytes) -> bytes:
    """Serves callbacks where no function was handed over."""
    return encode({"error": "LookupError: no function was handed over"})


def is_module(value: Any) -> bool:
    """Whether `value` is an nn.Module on the student's side."""
    return isinstance(value, Remote) and isinstance(value._target, Handle) and value._target.kind == "module"


def _failure_among(values: Iterable[Any]) -> Failure | None:
    """The first Failure among what a request holds."""
    for value in values:
        if isinstance(value, Failure):
            return value
        inner = value.values() if type(value) is dict else value if isinstance(value, list | tuple) else ()
        if inner and (found := _failure_among(inner)) is not None:
            return found
    return None


def local(name: str, namespace: dict[str, Any], seed: int = 0) -> Remote:
    """`namespace[name]` as a student of this process."""
    return Remote(LocalLink(Responder(namespace)), name, seed=seed)


__all__ = ["Failure", "Link", "LinkBroken", "LocalLink", "Remote", "Sitting", "describe", "is_module", "local"]
