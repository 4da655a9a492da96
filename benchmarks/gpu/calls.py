"""What this PyTorch lacks of all that is called on the card: names under `torch`, and keywords of its functions.

python -m benchmarks.gpu.calls

It reads the sources, so that a call is found before the run that would meet it late. Methods of tensors are not seen.
"""

import ast
import importlib
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

ROOT = Path(__file__).resolve().parents[2]
PLACES = ("course_lib/**/*.py", "solutions/*/*.py", "benchmarks/training/*.py", "benchmarks/gpu/*.py")
TESTS = ("tests/course_lib/*.py",)


class Missing(Exception):
    """The name that is not there."""


def missing(source: str) -> Iterator[tuple[int, str]]:
    """Line and text of each name under `torch` in a source, and each keyword, that this PyTorch has not."""
    tree = ast.parse(source)
    known = _imported(tree)
    for node in ast.walk(tree):
        try:
            if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "torch":
                for alias in node.names:
                    _member(importlib.import_module(node.module or ""), alias.name, f"{node.module}.{alias.name}")
            elif isinstance(node, ast.Attribute):
                _resolved(node, known)
            elif isinstance(node, ast.Call):
                _keywords(node, known)
        except Missing as error:
            yield node.lineno, str(error)
        except ImportError as error:
            yield node.lineno, f"{error.name}"


def _imported(tree: ast.AST) -> dict[str, str]:
    """What names of a source stand for under `torch`: `nn` for "torch.nn"."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.partition(".")[0] == "torch":
                    found[alias.asname or "torch"] = alias.name if alias.asname else "torch"
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "torch":
            found |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return found


def _resolved(node: ast.expr, known: dict[str, str]) -> Any:
    """What a chain of dots from a known name stands for; None where it begins with something else."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.insert(0, node.attr)
        node = node.value
    if not isinstance(node, ast.Name) or node.id not in known:
        return None
    path, value = "torch", torch
    for name in [*known[node.id].split(".")[1:], *names]:
        if not isinstance(value, ModuleType | type):
            return None  # a value, whose members are its own
        path = f"{path}.{name}"
        value = _member(value, name, path)
    return value


def _member(value: Any, name: str, path: str) -> Any:
    """Raises Missing where there is none."""
    try:
        return getattr(value, name)
    except AttributeError:
        pass
    try:
        return importlib.import_module(path)
    except ImportError:
        raise Missing(path) from None


def _keywords(node: ast.Call, known: dict[str, str]) -> None:
    """Raises Missing where a function of Python's has no such keyword; of those in C nothing is known."""
    try:
        called = _resolved(node.func, known)
        parameters = inspect.signature(called).parameters if called is not None else {}
    except (Missing, TypeError, ValueError):
        return  # of a missing name its own line says so
    if not parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    for keyword in node.keywords:
        if keyword.arg and keyword.arg not in parameters:
            raise Missing(f"{ast.unparse(node.func)}({keyword.arg}=)")


def main() -> int:
    """One line for each, and how much was looked at; whether there is any."""
    files = [path for place in (*PLACES, *TESTS) for path in sorted(ROOT.glob(place))]
    found = [
        f"{path.relative_to(ROOT)}:{line}: {text}"
        for path in files
        for line, text in missing(path.read_text(encoding="utf-8"))
    ]
    print(*found, sep="\n", end="\n" if found else "")
    outcome = "failed" if found else "passed"
    print(f"{outcome}: torch {torch.__version__} lacks {len(found)} of the calls in {len(files)} files")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
