"""One right formula, many wrong ones: a function compiled once, each of whose operations can be changed by a switch.

The tree of the function, and of the helpers it calls in the lessons' checks, is rewritten so that every operation goes
through a `Board`. With all switches off the function is what it was; a switch turned on changes one operation into
another: a sign, an operand left out, a call dropped, an index moved. Several may be on at once. So a thousand changes
cost one compilation, and a change is made of our own formula, never of a student's text.
"""

from __future__ import annotations

import ast
import inspect
import operator
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from types import FunctionType, ModuleType
from typing import Any

import torch

ROOM = "autograder.lessons"  # whose functions are rewritten when a formula calls them
MAX_TICKS = 20_000  # operations of one call: a change that makes a loop endless is given up


class TooLong(BaseException):
    """A changed function that did not come to an end."""


@dataclass(frozen=True)
class Switch:
    """One change of one operation: the operation's number, the change, and what kind of mistake it is."""

    site: int
    change: int
    kind: str


BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "Add": operator.add,
    "Sub": operator.sub,
    "Mult": operator.mul,
    "Div": operator.truediv,
    "Pow": operator.pow,
    "MatMult": operator.matmul,
    "FloorDiv": operator.floordiv,
    "Mod": operator.mod,
}


def _left(a: Any, b: Any) -> Any:
    return a


def _right(a: Any, b: Any) -> Any:
    return b


def _less(a: Any, b: Any) -> Any:
    return -b


def _exchanged(name: str) -> Callable[[Any, Any], Any]:
    return lambda a, b: BINARY[name](b, a)


def _others(name: str) -> list[tuple[str, Callable[[Any, Any], Any]]]:
    return [("operation", BINARY[other]) for other in ("Add", "Sub", "Mult", "Div", "Pow", "FloorDiv") if other != name]


# What each operation may be changed into, by kind of mistake; the first that agrees gives the name.
BINARY_CHANGES: dict[str, list[tuple[str, Callable[[Any, Any], Any]]]] = {
    "Add": [("sign", operator.sub), ("sign", lambda a, b: b - a), ("term", _left), ("term", _right)],
    "Sub": [
        ("sign", operator.add),
        ("sign", _exchanged("Sub")),
        ("term", _left),
        ("term", _less),
        ("term", _right),
    ],
    "Mult": [("factor", _left), ("factor", _right), ("inverse", operator.truediv), ("inverse", _exchanged("Div"))],
    "Div": [("factor", _left), ("inverse", operator.mul), ("inverse", _exchanged("Div")), ("factor", _right)],
    "Pow": [("power", _left), ("power", lambda a, b: a ** (b / 2)), ("inverse", lambda a, b: a ** (-b))],
    "MatMult": [
        ("order", _exchanged("MatMult")),
        ("order", lambda a, b: a.mT @ b),
        ("order", lambda a, b: a @ b.mT),
        ("factor", _left),
        ("factor", _right),
    ],
}
# What one of the two sides may have been turned into before the operation.
SIDES: tuple[tuple[str, Callable[[Any], Any]], ...] = (
    ("factor", lambda v: 2 * v),
    ("factor", lambda v: v / 2),
    ("power", lambda v: v**0.5),
    ("power", lambda v: v * v),
)


def _turned(name: str, side: int, change: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    if side:
        return lambda a, b: BINARY[name](a, change(b))
    return lambda a, b: BINARY[name](change(a), b)


for _name, _changes in BINARY_CHANGES.items():
    if _name in ("Add", "Sub", "Mult", "Div"):
        for _kind, _change in SIDES[2:] if _name in ("Mult", "Div") else SIDES:
            _changes.extend((_kind, _turned(_name, side, _change)) for side in (0, 1))
    _changes.extend(_others(_name))

COMPARISONS: dict[str, list[Callable[[Any, Any], Any]]] = {
    "Lt": [operator.le, operator.ge, operator.gt],
    "LtE": [operator.lt, operator.gt, operator.ge],
    "Gt": [operator.ge, operator.le, operator.lt],
    "GtE": [operator.gt, operator.lt, operator.le],
    "Eq": [operator.ne, operator.le, operator.ge],
    "NotEq": [operator.eq],
}
COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "Lt": operator.lt,
    "LtE": operator.le,
    "Gt": operator.gt,
    "GtE": operator.ge,
    "Eq": operator.eq,
    "NotEq": operator.ne,
}

# Calls that may be left out, or stand for one another: (kind, the call in its place; None where it is left out).
CALLS: dict[str, list[tuple[str, str | None]]] = {
    "sqrt": [("root", None), ("root", "square"), ("root", "root of the root")],
    "rsqrt": [("root", "reciprocal"), ("inverse", "sqrt")],
    "square": [("square", None), ("square", "abs")],
    "exp": [("logarithm", None), ("logarithm", "exp of the half"), ("logarithm", "exp of the double")],
    "log": [("logarithm", None), ("base", "log2"), ("base", "log10"), ("logarithm", "log1p")],
    "log1p": [("term", "log"), ("logarithm", None)],
    "expm1": [("term", "exp")],
    "reciprocal": [("inverse", None)],
    "abs": [("call", None)],
    "sigmoid": [("call", None), ("call", "tanh")],
    "softplus": [("call", None), ("call", "relu")],
    "silu": [("call", None), ("call", "relu")],
    "tanh": [("call", None), ("call", "sigmoid")],
    "sin": [("exchange", "cos"), ("call", None)],
    "cos": [("exchange", "sin"), ("call", None)],
    "sum": [("mean", "mean"), ("axis", "over everything"), ("axis", "over the other axis")],
    "mean": [("mean", "sum"), ("axis", "over everything"), ("axis", "over the other axis")],
    "logsumexp": [
        ("logarithms", "average of logarithms"),
        ("axis", "over the other axis"),
        ("mean", "mean"),
        ("mean", "sum"),
    ],
    "softmax": [("axis", "over the other axis"), ("call", None)],
    "log_softmax": [("axis", "over the other axis"), ("call", None)],
    "cumsum": [("call", None), ("running", "cumprod"), ("running", "from the end")],
    "cumprod": [("call", None), ("running", "cumsum"), ("running", "from the end")],
    "flip": [("order", None)],
    "flipud": [("order", None)],
    "clamp": [("clip", None)],
    "clip": [("clip", None)],
    "round": [("rounding", None), ("rounding", "floor"), ("rounding", "ceil")],
    "floor": [("rounding", "round"), ("rounding", "ceil")],
    "ceil": [("rounding", "round"), ("rounding", "floor")],
    "relu": [("clip", None)],
    "amax": [("exchange", "amin"), ("axis", "over everything")],
    "amin": [("exchange", "amax"), ("axis", "over everything")],
    "max": [("exchange", "min")],
    "min": [("exchange", "max")],
    "prod": [("running", "sum"), ("axis", "over everything")],
    "triu": [("exchange", "tril")],
    "tril": [("exchange", "triu")],
    "range": [("index", "one more"), ("index", "one less"), ("index", "begins later"), ("order", "the other way")],
    "arange": [("index", "one more"), ("index", "one less"), ("index", "begins later")],
    "linspace": [("index", "one more"), ("index", "one less")],
    "reversed": [("order", None)],
    "where": [("exchange", "branches exchanged")],
    "det": [("logarithm", None)],
    "logdet": [("logarithm", "det")],
    "inv": [("inverse", None)],
    "transpose": [("order", None)],
    "along": [("axis", None), ("axis", "two axes"), ("axis", "four axes")],
    "reshape": [("axis", None), ("axis", "two axes"), ("axis", "four axes")],
    "backward": [("gradient", "times itself"), ("gradient", None)],
    "zero_grad": [("gradient", None)],
    "step": [("gradient", None)],
    "view": [("axis", None)],
    "unsqueeze": [("axis", None)],
    "expand": [("axis", None)],
    "detach": [],
    "float": [("rounding", None)],
}


class Board:
    """The switches of one rewritten function, and the operations it is made of."""

    def __init__(self) -> None:
        self.on: dict[int, int] = {}
        self.switches: list[Switch] = []
        self.ticks = 0

    def site(self, kinds: list[str]) -> int:
        """A new operation that can be changed in as many ways as there are kinds."""
        number = 1 + (self.switches[-1].site if self.switches else 0) if kinds else 0
        self.switches.extend(Switch(number, change, kind) for change, kind in enumerate(kinds))
        return number

    def _change(self, site: int) -> int | None:
        self.ticks += 1
        if self.ticks > MAX_TICKS:
            raise TooLong
        return self.on.get(site)

    def binary(self, site: int, name: str, a: Any, b: Any) -> Any:
        change = self._change(site)
        return BINARY[name](a, b) if change is None else BINARY_CHANGES[name][change][1](a, b)

    def minus(self, site: int, a: Any) -> Any:
        return -a if self._change(site) is None else a

    def compare(self, site: int, name: str, a: Any, b: Any) -> Any:
        change = self._change(site)
        return COMPARE[name](a, b) if change is None else COMPARISONS[name][change](a, b)

    def number(self, site: int, value: Any) -> Any:
        change = self._change(site)
        return value if change is None else _numbers(value)[change]

    def index(self, site: int, table: Any, at: Any) -> Any:
        change = self._change(site)
        if change is None:
            return table[at]
        if (isinstance(at, torch.Tensor) and at.dtype == torch.bool) or isinstance(at, slice | str):
            raise TypeError("not an index that moves")
        if change == 2:
            return table[at[:1].expand(len(at))]
        return table[at - 1] if change == 0 else table[at + 1]

    def call(self, site: int, name: str, function: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
        change = self._change(site)
        if change is None:
            return function(*args, **kwargs)
        stands = CALLS[name][change][1]
        owner = getattr(function, "__self__", None)
        if owner is not None and not isinstance(owner, ModuleType):  # a method: its object is the first argument
            args = (owner, *args)
        return _instead(name, stands, function, args, kwargs)

    def quantity(self, site: int, value: Any, others: tuple) -> Any:
        change = self._change(site)
        return value if change is None else others[change]


def _numbers(value: Any) -> list[Any]:
    """What may stand in a number's place."""
    if isinstance(value, int):
        return [value + 1, value - 1, 2 * value, -value]
    return [2 * value, value / 2, -value, value + 1, value - 1, value**0.5 if value > 0 else value]


def _instead(name: str, stands: str | None, function: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
    """A call changed as `CALLS` says."""
    first = args[0]
    match stands:
        case None:
            return first
        case "two axes":
            return first.reshape(-1, 1)
        case "four axes":
            return first.reshape(-1, 1, 1, 1)
        case "times itself":
            return first.backward(first.detach())
        case "average of logarithms":
            return (torch.softmax(first, *args[1:], **kwargs) * first).sum(*args[1:], **kwargs)
        case "root of the root":
            return _plain(name, args, kwargs) ** 0.5
        case "exp of the half":
            return (first / 2).exp()
        case "exp of the double":
            return (2 * first).exp()
        case "over everything":
            return getattr(first, name)()
        case "over the other axis":
            axis = kwargs.get("dim", args[1] if len(args) > 1 else None)
            if not isinstance(axis, int):
                raise TypeError("no axis to take another for")
            other = 0 if axis % first.ndim else -1
            rest = {key: value for key, value in kwargs.items() if key != "dim"}
            return getattr(torch, name)(first, other, *args[2:], **rest)
        case "from the end":
            return getattr(torch, name)(first.flip(0), *args[1:], **kwargs).flip(0)
        case "branches exchanged":
            condition, yes, no = args
            return torch.where(condition, no, yes)
        case "one more" | "one less":
            step = 1 if stands == "one more" else -1
            if name == "linspace":
                return function(*args[:2], args[2] + step, *args[3:], **kwargs)
            if len(args) == 1:
                return function(args[0] + step, **kwargs)
            return function(args[0], args[1] + step, *args[2:], **kwargs)
        case "begins later":
            return function(1, *args, **kwargs) if len(args) == 1 else function(args[0] + 1, *args[1:], **kwargs)
        case "the other way":
            return reversed(function(*args))
    if stands in ("mean", "sum", "square", "abs", "log2", "log10", "log1p", "log", "exp", "reciprocal", "sqrt"):
        return getattr(torch, stands)(_tensor(first), *args[1:], **kwargs)
    if hasattr(torch, stands):
        return getattr(torch, stands)(_tensor(first), *args[1:], **kwargs)
    return getattr(torch.nn.functional, stands)(first, *args[1:], **kwargs)


def _plain(name: str, args: tuple, kwargs: dict[str, Any]) -> Any:
    return getattr(torch, name)(_tensor(args[0]), *args[1:], **kwargs)


def _tensor(value: Any) -> torch.Tensor:
    return value if isinstance(value, torch.Tensor) else torch.as_tensor(value, dtype=torch.float64)


class _Rewriter(ast.NodeTransformer):
    """Sends every operation of a function through `_board`."""

    def __init__(self, board: Board, parameters: tuple[str, ...]) -> None:
        self._board, self._bound = board, list(parameters)

    def _through(self, what: str, site: int, *args: ast.expr) -> ast.expr:
        method = ast.Attribute(ast.Name("_board", ast.Load()), what, ast.Load())
        return ast.Call(method, [ast.Constant(site), *args], [])

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        node.decorator_list = [
            d for d in node.decorator_list if ast.unparse(d).startswith(("torch.", "property", "staticmethod"))
        ]
        node.returns = None
        for argument in (*node.args.args, *node.args.kwonlyargs):
            argument.annotation = None
        body, outside = [], list(self._bound)
        for statement in node.body:
            body.append(self.visit(statement))
            if isinstance(statement, ast.Assign):  # from here on these names are bound for certain
                names = [n.id for target in statement.targets for n in ast.walk(target) if isinstance(n, ast.Name)]
                self._bound += [name for name in names if name not in self._bound]
        node.body, self._bound = body, outside
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AnnAssign:
        node.value = self.visit(node.value) if node.value else None
        return node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.JoinedStr:
        return node

    def visit_Raise(self, node: ast.Raise) -> ast.Raise:
        return node

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        name = type(node.op).__name__
        left, right = self.visit(node.left), self.visit(node.right)
        if name not in BINARY_CHANGES or isinstance(node.left, ast.List) or isinstance(node.right, ast.List):
            return ast.BinOp(left, node.op, right)
        site = self._board.site([kind for kind, _ in BINARY_CHANGES[name]])
        return self._through("binary", site, ast.Constant(name), left, right)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        if isinstance(node.op, ast.USub) and not isinstance(node.operand, ast.Constant):
            return self._through("minus", self._board.site(["sign"]), self.visit(node.operand))
        if isinstance(node.operand, ast.Constant):
            return node
        return ast.UnaryOp(node.op, self.visit(node.operand))

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        name = type(node.ops[0]).__name__
        if (
            len(node.ops) > 1
            or name not in COMPARISONS
            or (
                isinstance(node.comparators[0], ast.Constant | ast.Tuple)
                and isinstance(getattr(node.comparators[0], "value", None), str)
            )
        ):
            return node
        site = self._board.site(["boundary"] * len(COMPARISONS[name]))
        sides = self.visit(node.left), self.visit(node.comparators[0])
        return self._through("compare", site, ast.Constant(name), *sides)

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        if type(node.value) not in (int, float):
            return node
        return self._through("number", self._board.site(["constant"] * len(_numbers(node.value))), node)

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        value = self.visit(node.value)
        moves = isinstance(node.slice, ast.Name | ast.BinOp)
        if not moves or not isinstance(node.ctx, ast.Load):
            return ast.Subscript(value, node.slice, node.ctx)
        site = self._board.site(["read early", "read late", "one time"])
        return self._through("index", site, value, self.visit(node.slice))

    def visit_Call(self, node: ast.Call) -> ast.expr:
        function = node.func
        name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
        if isinstance(function, ast.Attribute):
            function = ast.Attribute(self.visit(function.value), function.attr, function.ctx)
        kept = name in (
            "reshape",
            "view",
            "expand",
            "unsqueeze",
            "squeeze",
            "sum",
            "mean",
            "flatten",
            "size",
            "to",
            "new_ones",
            "zeros",
            "ones",
            "permute",
            "transpose",
            "chunk",
            "split",
            "full",
            "empty",
        )
        args = [
            a if kept and isinstance(a, ast.Constant | ast.UnaryOp | ast.Starred | ast.Tuple) else self.visit(a)
            for a in node.args
        ]
        keywords = [
            k if isinstance(k.value, ast.Constant | ast.UnaryOp) else ast.keyword(k.arg, self.visit(k.value))
            for k in node.keywords
        ]
        changes = CALLS.get(name, [])
        plain = bool(args or isinstance(function, ast.Attribute)) and all(k.arg for k in keywords)
        if not changes or not plain:
            return ast.Call(function, args, keywords)
        site = self._board.site([kind for kind, _ in changes])
        named = ast.Dict([ast.Constant(k.arg) for k in keywords], [k.value for k in keywords])
        return self._through("call", site, ast.Constant(name), function, ast.Tuple(args, ast.Load()), named)

    def visit_Name(self, node: ast.Name) -> ast.expr:
        others = [name for name in self._bound if name != node.id and name != "_"]
        if not isinstance(node.ctx, ast.Load) or node.id not in self._bound or not others:
            return node
        site = self._board.site(["quantity"] * len(others))
        return self._through(
            "quantity", site, node, ast.Tuple([ast.Name(name, ast.Load()) for name in others], ast.Load())
        )


def switched(function: FunctionType | type) -> tuple[Any, Board]:
    """`function` rewritten, and its board. Raises OSError or SyntaxError where there is no source to rewrite."""
    board, function = Board(), inspect.unwrap(function)
    space = dict(getattr(function, "__globals__", None) or vars(inspect.getmodule(function)))
    space["_board"] = board
    made = None
    for item in (*_helpers(function), function):
        tree = ast.parse(textwrap.dedent(inspect.getsource(item)))
        definition = tree.body[0]
        if isinstance(definition, ast.FunctionDef):
            _rewrite(board, definition)
        elif isinstance(definition, ast.ClassDef):
            definition.decorator_list = []
            for method in definition.body:
                if isinstance(method, ast.FunctionDef):
                    _rewrite(board, method)
        else:
            raise SyntaxError("neither a function nor a class")
        name = item.__name__
        held = space.get(name)
        exec(compile(ast.fix_missing_locations(tree), f"<changed {name}>", "exec"), space)
        made = space[name]
        if item is function and held is not None and name not in ("_",):
            space[name] = made
    return made, board


def _rewrite(board: Board, definition: ast.FunctionDef) -> None:
    parameters = tuple(a.arg for a in definition.args.args if a.arg != "self")
    _Rewriter(board, parameters).visit(definition)


def _helpers(function: FunctionType | type, seen: dict[str, FunctionType] | None = None) -> list[FunctionType]:
    """The functions of the lessons' checks that `function` calls, those called first standing first."""
    seen = {} if seen is None else seen
    function = inspect.unwrap(function)
    bodies = (
        [function]
        if isinstance(function, FunctionType)
        else [v for v in vars(function).values() if isinstance(v, FunctionType)]
    )
    for body in bodies:
        for name in _names(body.__code__):
            item = body.__globals__.get(name)
            known = isinstance(item, FunctionType) and item.__module__.startswith(ROOM)
            if known and item is not function and name not in seen and item.__name__ == name:
                seen[name] = item
                _helpers(item, seen)
    return list(seen.values())


def _names(code: Any) -> list[str]:
    inner = [name for constant in code.co_consts if hasattr(constant, "co_names") for name in _names(constant)]
    return [*code.co_names, *inner]
