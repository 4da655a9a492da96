"""One right formula, many wrong ones: a function compiled once, each of whose operations can be changed by a switch.

The tree of the function, and of the helpers it calls in the lessons' checks, is rewritten so that every operation goes
through a `Board`. With all switches off the function is what it was; a switch turned on changes one operation into
another: a sign, an operand left out, a call dropped, an index moved. Several may be on at once. So a thousand changes
cost one compilation, and a change is made of our own formula, never of a student's text.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FunctionType, ModuleType
from typing import Any

import torch

from ..syntax import parse
from .changes import BINARY, BINARY_CHANGES, CALLS, COMPARE, COMPARISONS, instead_of_call, instead_of_number
from .precedence import operations, reread

ROOM = "autograder.lessons"  # whose functions are rewritten when a formula calls them
EACH_TIME = ("one time", "read early", "read late", "root", "square", "logarithm", "base", "mean", "axis")
NO_PARAMETERS = ast.arguments([], [], kwonlyargs=[], kw_defaults=[], defaults=[])
MAX_TICKS = 20_000  # operations of one call: a change that makes a loop endless is given up


class TooLong(BaseException):
    """A changed function that did not come to an end."""


@dataclass(frozen=True)
class Switch:
    """One change of one operation: the operation's number, the change, and what kind of mistake it is."""

    site: int
    change: int
    kind: str


class Board:
    """The switches of one rewritten function, and the operations it is made of."""

    def __init__(self) -> None:
        self.on: dict[int, int] = {}
        self.switches: list[Switch] = []
        self._sites = 0
        self.ticks = 0
        self.kept: dict[int, list[Any]] | None = None  # what each operation gave, while a call is traced
        self._instead: tuple[int, Iterator[Any]] | None = None

    def site(self, kinds: list[str]) -> int:
        """A new operation that can be changed in as many ways as there are kinds."""
        self._sites += 1
        number = self._sites
        self.switches.extend(Switch(number, change, kind) for change, kind in enumerate(kinds))
        return number

    def alike(self) -> list[list[Switch]]:
        """The switches that make one and the same change at several operations: a mistake made each time."""
        found: dict[tuple[str, int], list[Switch]] = {}
        for switch in self.switches:
            if switch.kind in EACH_TIME:
                found.setdefault((switch.kind, switch.change), []).append(switch)
        return [switches for switches in found.values() if len(switches) > 1]

    def _change(self, site: int) -> int | None:
        self.ticks += 1
        if self.ticks > MAX_TICKS:
            raise TooLong
        return self.on.get(site)

    def _given(self, site: int, value: Any) -> Any:
        if self.kept is not None:
            self.kept.setdefault(site, []).append(value)
        if self._instead is not None and self._instead[0] == site:
            return next(self._instead[1])
        return value

    @contextmanager
    def replacing(self, site: int, values: Iterable[Any]) -> Iterator[None]:
        """Within the block, one operation gives these values, one after the other, in the place of its own."""
        self.on, self.ticks, self._instead = {}, 0, (site, iter(values))
        try:
            yield
        finally:
            self._instead = None

    def binary(self, site: int, name: str, a: Any, b: Any) -> Any:
        change = self._change(site)
        return self._given(site, BINARY[name](a, b) if change is None else BINARY_CHANGES[name][change][1](a, b))

    def minus(self, site: int, a: Any) -> Any:
        return self._given(site, -a if self._change(site) is None else a)

    def compare(self, site: int, name: str, a: Any, b: Any) -> Any:
        change = self._change(site)
        return COMPARE[name](a, b) if change is None else COMPARISONS[name][change](a, b)

    def number(self, site: int, value: Any) -> Any:
        change = self._change(site)
        return value if change is None else instead_of_number(value)[change]

    def index(self, site: int, table: Any, at: Any) -> Any:
        change = self._change(site)
        if change is None:
            return self._given(site, table[at])
        if (isinstance(at, torch.Tensor) and at.dtype == torch.bool) or isinstance(at, slice | str):
            raise TypeError("not an index that moves")
        if change == 2:
            return table[at[:1].expand(len(at))]
        return table[at - 1] if change == 0 else table[at + 1]

    def step(self, site: int, value: Any) -> Any:
        """A call or a part of something that cannot be changed, but replaced."""
        return self._given(site, value)

    def number_of(self, value: Any) -> Any:
        """`float(value)`, or many numbers at once while many are computed together."""
        if isinstance(value, torch.Tensor) and torch._C._functorch.is_batchedtensor(value):
            return value.double().reshape(())
        return value.item() if isinstance(value, torch.Tensor) else float(value)

    def call(self, site: int, name: str, function: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
        change = self._change(site)
        if change is None:
            return self._given(site, function(*args, **kwargs))
        stands = CALLS[name][change][1]
        owner = getattr(function, "__self__", None)
        if owner is not None and not isinstance(owner, ModuleType):  # a method: its object is the first argument
            args = (owner, *args)
        return instead_of_call(name, stands, function, args, kwargs)

    def either(self, site: int, usual: Callable[[], Any], *others: Callable[[], Any]) -> Any:
        """An expression, or what it is with another sign of operation, read anew."""
        change = self._change(site)
        return usual() if change is None else others[change]()

    def quantity(self, site: int, value: Any, others: tuple) -> Any:
        change = self._change(site)
        return value if change is None else others[change]


class _Rewriter(ast.NodeTransformer):
    """Sends every operation of a function through `_board`."""

    def __init__(self, board: Board, parameters: tuple[str, ...]) -> None:
        self._board, self._bound = board, list(parameters)
        self._inner: set[ast.BinOp] = set()  # operations that are part of another

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
        others = [] if node in self._inner else reread(node)
        self._inner.update(operations(node)[1:])
        found = self._operation(node)
        if not others:
            return found
        site = self._board.site(["operation"] * len(others))
        return self._through("either", site, *(ast.Lambda(NO_PARAMETERS, item) for item in (found, *others)))

    def _operation(self, node: ast.BinOp) -> ast.expr:
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
        return self._through("number", self._board.site(["constant"] * len(instead_of_number(node.value))), node)

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        value = self.visit(node.value)
        moves = isinstance(node.slice, ast.Name | ast.BinOp)
        if not isinstance(node.ctx, ast.Load):
            return ast.Subscript(value, node.slice, node.ctx)
        if not moves:
            return self._through("step", self._board.site([]), ast.Subscript(value, self.visit(node.slice), node.ctx))
        site = self._board.site(["read early", "read late", "one time"])
        return self._through("index", site, value, self.visit(node.slice))

    def visit_Call(self, node: ast.Call) -> ast.expr:
        function = node.func
        name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
        if isinstance(function, ast.Attribute):
            function = ast.Attribute(self.visit(function.value), function.attr, function.ctx)
        args = [self.visit(a) for a in node.args]
        keywords = [ast.keyword(k.arg, self.visit(k.value)) for k in node.keywords]
        numbers = [function.value] if name == "item" and isinstance(function, ast.Attribute) and not args else args
        if len(numbers) == 1 and (numbers is not args or getattr(function, "id", "") == "float"):
            return ast.Call(ast.Attribute(ast.Name("_board", ast.Load()), "number_of", ast.Load()), numbers, [])
        changes = CALLS.get(name, [])
        plain = bool(args or isinstance(function, ast.Attribute)) and all(k.arg for k in keywords)
        if not changes or not plain:
            return self._through("step", self._board.site([]), ast.Call(function, args, keywords))
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


def switched(formula: Callable[..., Any]) -> tuple[Any, Board]:
    """`formula` rewritten, and its board. Raises OSError or SyntaxError where there is no source to rewrite."""
    board = Board()
    function: Any = _inner(formula)
    space = dict(getattr(function, "__globals__", None) or vars(inspect.getmodule(function)))
    space["_board"] = board
    for item in (*_helpers(function), *reversed(_bases(function)[1:]), function):
        tree = parse(textwrap.dedent(inspect.getsource(item)))
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
        exec(compile(ast.fix_missing_locations(tree), f"<changed {item.__name__}>", "exec"), space)
    return space[function.__name__], board


def _rewrite(board: Board, definition: ast.FunctionDef) -> None:
    parameters = tuple(a.arg for a in definition.args.args if a.arg != "self")
    _Rewriter(board, parameters).visit(definition)


def _helpers(function: Callable[..., Any], seen: dict[str, FunctionType] | None = None) -> list[FunctionType]:
    """The functions of the lessons' checks that `function` calls, those called first standing first."""
    seen = {} if seen is None else seen
    classes = _bases(function)
    parts = [part for item in classes for part in vars(item).values()] if classes else [function]
    for body in [part for part in parts if isinstance(part, FunctionType)]:
        for name in _names(body.__code__):
            item = body.__globals__.get(name)
            if not isinstance(item, FunctionType) or not item.__module__.startswith(ROOM):
                continue
            if item is not function and name not in seen and item.__name__ == name:
                seen[name] = item
                _helpers(item, seen)
    return list(seen.values())


def _bases(item: Any) -> list[type]:
    """A class and those of its bases that stand in the lessons' checks, the class first; none for a function."""
    return [base for base in item.__mro__ if base.__module__.startswith(ROOM)] if isinstance(item, type) else []


def _inner(function: Any) -> Any:
    """The function below its decorators."""
    return inspect.unwrap(function)


def _names(code: Any) -> list[str]:
    inner = [name for constant in code.co_consts if hasattr(constant, "co_names") for name in _names(constant)]
    return [*code.co_names, *inner]
