"""Formulas of a page that say what a solution says, whatever their letters: found by value.

A formula is code, LaTeX, or plain text of a docstring or a hint (`sqrt(1 - beta_t) x_{t-1} + sqrt(beta_t) eps`). Two of
them are one where they have the same values at the same drawn numbers, each set of letters tried in every order.
Matrices are multiplied like numbers; sums and means count as what is summed, and reshaping as nothing, since neither is
what there is to find.
"""

from __future__ import annotations

import ast
import cmath
import contextlib
import copy
import html
import io
import re
import tokenize
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import permutations

from ..builder.source import parse

PLACES = (0.37, 0.61, 0.83, 0.29, 0.53)  # what letters stand for; a formula of more is not compared
LEAST = 3  # operations of a formula that counts: fewer are words of the field
FUNCTIONS: dict[str, Callable[[complex], complex]] = {
    "sqrt": cmath.sqrt,
    "rsqrt": lambda z: 1 / cmath.sqrt(z),
    "square": lambda z: z * z,
    "log": cmath.log,
    "log1p": lambda z: cmath.log(1 + z),
    "exp": cmath.exp,
    "cos": cmath.cos,
    "sin": cmath.sin,
    "inv": lambda z: 1 / z,
}
_THROUGH = set(  # of what these give, the entries or terms are compared
    re.findall(
        r"\w+", "reshape unsqueeze squeeze flatten to float double view expand clone detach sum mean item column"
    )
)
_GREEK = set(re.findall(r"\w+", "alpha beta gamma delta eps epsilon lambda mu nu omega phi psi pi rho sigma tau theta"))
_WORDS = set(re.findall(r"\w+", "a at be by do go if in is it of on or so to we an as no"))  # never letters of a text
_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d+)?)|(?P<name>[A-Za-z]\w*~?(?:_?\{[^{}]*\}|\[[^\[\]]*\])*)|(?P<sign>\*\*|[-+*/^(){}]))"
)


@dataclass(frozen=True)
class Formula:
    """Its tree, and its letters. How many of them wear a bar counts: alpha_t is another letter than alpha_bar_t."""

    tree: ast.AST
    letters: tuple[str, ...]

    def __str__(self) -> str:
        return ast.unparse(self.tree)

    @cached_property
    def barred(self) -> int:
        return sum("bar" in letter for letter in self.letters)

    @cached_property
    def values(self) -> tuple[tuple[float, float], ...]:
        """At every order of its letters; empty where one of them has none."""
        found = []
        for order in permutations(PLACES[: len(self.letters)]):
            try:
                value = _value(self.tree, dict(zip(self.letters, order, strict=True)))
            except (ArithmeticError, ValueError):
                return ()
            found.append((round(value.real, 7) + 0.0, round(value.imag, 7) + 0.0))
        return tuple(sorted(found))

    def like(self, other: Formula) -> bool:
        alike = len(self.letters) == len(other.letters) and self.barred == other.barred
        return alike and bool(self.values) and self.values == other.values


def of_code(source: str) -> Iterator[Formula]:
    """The arithmetic of Python code, parts included; names that are bound once are written out."""
    for node in ast.walk(_written_out(parse(source))):
        if isinstance(node, ast.BinOp | ast.Call) and (found := _formula(node)):
            yield found


def answers(source: str) -> Iterator[Formula]:
    """What the functions of a solution return. Of a class nothing: there it is the building that is asked for."""
    functions = [node for node in _written_out(parse(source)).body if isinstance(node, ast.FunctionDef)]
    for node in (part for function in functions for part in ast.walk(function)):
        if isinstance(node, ast.Return) and node.value is not None:
            parts = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value]
            yield from filter(None, map(_formula, parts))


def of_text(text: str, letters: frozenset[str]) -> Iterator[Formula]:
    """The formulas in LaTeX and in plain text, parts included. `letters` are names that a solution uses: these, Greek
    ones and short ones are what a formula in plain text is made of.
    """
    for code in re.findall(r"`([^`]+)`|<code>(.*?)</code>", text):
        with contextlib.suppress(SyntaxError):
            yield from of_code(html.unescape("".join(code)))
    mathematics = re.findall(r"\$\$?([^$]+)\$", text)
    for piece in [*mathematics, *re.sub(r"\$\$?[^$]+\$\$?", " ; ", text).split("\n\n")]:
        for side in re.split(r"(?<![!<>])=|≈|\\(?:le|ge|approx|qquad|text)\b|&|[:;,](?=\s|$)", _plain(piece)):
            for run in _runs(side, None if piece in mathematics else letters):
                with contextlib.suppress(SyntaxError, RecursionError):
                    yield from of_code(run)


def comments_and_strings(source: str) -> str:
    """The plain text that stands within code, a paragraph each."""
    kept = (tokenize.COMMENT, tokenize.STRING)
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return "\n\n".join(token.string.strip("\"'# ") for token in tokens if token.type in kept)


def _formula(node: ast.AST) -> Formula | None:
    atoms: dict[str, None] = {}
    try:
        operations = _count(node, atoms)
    except ValueError:
        return None
    products = any(isinstance(part, ast.MatMult) for part in ast.walk(node))  # of matrices: their order does not count
    if operations < LEAST + products or not 1 <= len(atoms) <= len(PLACES) or not _has_sum_or_function(node):
        return None
    return Formula(node, tuple(atoms))


def _has_sum_or_function(node: ast.AST) -> bool:
    """A product of letters says nothing."""
    parts = list(ast.walk(node))
    return any(isinstance(part, ast.Add | ast.Sub) or (isinstance(part, ast.Call) and _named(part)) for part in parts)


class _WriteOut(ast.NodeTransformer):
    """Puts what names are bound to in their places."""

    def __init__(self, bound: dict[str, ast.expr]) -> None:
        self.bound = bound

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self.bound.get(node.id, node) if isinstance(node.ctx, ast.Load) else node


def _written_out(tree: ast.Module) -> ast.Module:
    """The code of each function with its arithmetic in one piece."""
    for scope in ast.walk(tree):
        if isinstance(scope, ast.FunctionDef):
            stored = [
                node.id for node in ast.walk(scope) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
            ]
            bound: dict[str, ast.expr] = {}
            for name, value in _bindings(scope):
                whole = _WriteOut(bound).visit(copy.deepcopy(value))
                if stored.count(name) == 1 and _is_arithmetic(whole):
                    bound[name] = whole
            for statement in scope.body:
                _WriteOut(bound).visit(statement)
    return tree


def _bindings(scope: ast.FunctionDef) -> Iterator[tuple[str, ast.expr]]:
    for node in ast.walk(scope):
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            target, value = node.targets[0], node.value
            pairs = [(target, value)]
            if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
                pairs = list(zip(target.elts, value.elts, strict=True))
            yield from ((name.id, of) for name, of in pairs if isinstance(name, ast.Name))


def _is_arithmetic(node: ast.expr) -> bool:
    try:
        _count(node, {})
    except ValueError:
        return False
    return len(ast.unparse(node)) < 200


def _named(node: ast.Call) -> tuple[str, ast.expr] | None:
    """Which function a call is of, and what it is called with: `torch.sqrt(x)` and `x.sqrt()` alike."""
    if isinstance(node.func, ast.Attribute):
        name, owner = node.func.attr, node.func.value
        of_module = ast.unparse(owner) in ("torch", "torch.linalg", "math", "sympy")
        argument = owner if not of_module else node.args[0] if node.args else None
    else:
        name, argument = getattr(node.func, "id", ""), node.args[0] if node.args else None
    known = name in FUNCTIONS or name in _THROUGH
    return (name, argument) if known and argument is not None else None


def _inner(node: ast.AST) -> ast.AST:
    """Without what changes a tensor's shape alone."""
    while True:
        turned = isinstance(node, ast.Attribute) and node.attr in ("T", "mT")
        if turned or (isinstance(node, ast.Subscript) and re.search(r"None|\.\.\.", ast.unparse(node.slice))):
            node = node.value  # type: ignore[attr-defined]
        elif isinstance(node, ast.Call) and (called := _named(node)) and called[0] in _THROUGH:
            node = called[1]
        else:
            return node


def _count(node: ast.AST, atoms: dict[str, None]) -> int:
    """How many operations, with the letters in `atoms`. Raises ValueError for what is no arithmetic."""
    node = _inner(node)
    if isinstance(node, ast.BinOp) and not isinstance(node.op, ast.Mod | ast.FloorDiv):
        return 1 + _count(node.left, atoms) + _count(node.right, atoms)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return _count(node.operand, atoms)
    if isinstance(node, ast.Call) and (called := _named(node)):
        return 1 + _count(called[1], atoms)
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return 0
    if isinstance(node, ast.Name | ast.Subscript | ast.Attribute | ast.Call):
        if ast.unparse(node) not in ("math.pi", "torch.pi"):
            atoms.setdefault(ast.unparse(node))
        return 0
    raise ValueError(type(node).__name__)


def _value(node: ast.AST, at: dict[str, float]) -> complex:
    node = _inner(node)
    if isinstance(node, ast.BinOp):
        left, right = _value(node.left, at), _value(node.right, at)
        match node.op:
            case ast.Add():
                return left + right
            case ast.Sub():
                return left - right
            case ast.Mult() | ast.MatMult():
                return left * right
            case ast.Div():
                return left / right
            case ast.Pow() if abs(right) < 20:
                return left**right
        raise ValueError(ast.unparse(node))
    if isinstance(node, ast.UnaryOp):
        return -_value(node.operand, at)
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return complex(node.value)
    if isinstance(node, ast.Call) and (called := _named(node)):
        return FUNCTIONS[called[0]](_value(called[1], at))
    return complex(at.get(ast.unparse(node), cmath.pi))


def _plain(latex: str) -> str:
    """LaTeX in the plain form; other text as it is."""
    text = re.sub(r"\\(?:left|right|[bB]igg?[lrm]?|quad|[,;!: ]|displaystyle|underbrace)|\\tag\{[^}]*\}", " ", latex)
    text = re.sub(r"\\bar\s*(?:\{\\?(\w+)\}|\\?([A-Za-z]+))", r"\1\2bar", text)
    text = re.sub(r"\\(?:hat|tilde|math\w+|operatorname|boldsymbol)\s*(?:\{\\?(\w+)\}|\\?([A-Za-z]+))", r"\1\2", text)
    for _ in range(4):
        text = re.sub(r"\\[td]?frac\s*(?:\{((?:[^{}]|\{[^{}]*\})*)\}|(\w))\s*(?:\{((?:[^{}]|\{[^{}]*\})*)\}|(\w))",
                      r"(\1\2)/(\3\4)", text)  # fmt: skip
        text = re.sub(r"\\sqrt\s*(?:\{((?:[^{}]|\{[^{}]*\})*)\}|(\w))", r"sqrt(\1\2)", text)
    text = re.sub(r"\\(?:cdot|times)\b", "*", text).replace("\\log", "log").replace("\\exp", "exp")
    return re.sub(r"\\(?=[A-Za-z])", " ", text).replace("²", "^2").replace("`", " ; ").replace("·", "*")


def _runs(text: str, letters: frozenset[str] | None) -> Iterator[str]:
    """The stretches of a text that could be formulas, as Python: products written out, an index part of its name."""
    run: list[str] = []
    at = 0
    while at <= len(text):
        found = _TOKEN.match(text, at)
        token = found and next(part for part in found.groups() if part)
        name = found and found["name"]
        if name and letters is not None and not _is_letter(name, letters):
            token = None
        if token is None:
            if len(run) > LEAST:
                yield _balanced(run)
            run, at = [], (found.end() if found else at + 1)
            continue
        if run and _ends(run[-1]) and (token == "(" or token[0].isalnum()) and run[-1] not in FUNCTIONS:
            run.append("*")
        if name:
            token = name if name in FUNCTIONS else re.sub(r"\W+", "_", name)
        run.append("**" if token == "^" else {"{": "(", "}": ")"}.get(token, token))
        at = found.end() if found else at + 1


def _is_letter(name: str, letters: frozenset[str]) -> bool:
    bare = re.split(r"[_\[{~]", name)[0]
    return name in FUNCTIONS or name in letters or bare in _GREEK or (len(bare) <= 2 and bare not in _WORDS)


def _ends(token: str) -> bool:
    """Whether a factor may follow without a sign."""
    return token == ")" or token[0].isalnum()


def _balanced(run: list[str]) -> str:
    """Without brackets that the text around a formula opens or closes, nor signs that lead nowhere."""
    while run and run[-1] in ("+", "-", "*", "/", "**", "("):
        run = run[:-1]
    while run.count("(") > run.count(")"):
        run = run[run.index("(") + 1 :]
    while run.count(")") > run.count("("):
        run = run[: len(run) - 1 - run[::-1].index(")")]
    while run and run[0] in ("+", "*", "/", "**", ")"):
        run = run[1:]
    return " ".join(run)
