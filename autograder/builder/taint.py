"""Which cells' text cannot be compared from run to run: nbval runs them, and does not compare what they print.

A cell is uncertain when it asks for a budget, trains with `fit`, reads a clock or shows a widget; and so is every cell
below that needs a name it defined, or a model or optimiser it used (training changes an object without naming it anew).
A cell that binds such a name again from certain values makes it certain again.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence

from .names import alias_name, bound_names, cell_names
from .source import Cell

TAG = "nbval-ignore-output"
OURS = frozenset({"budget", "fit", "widgets", "explore"})
CLOCKS = frozenset({"time", "perf_counter", "monotonic", "process_time", "timeit", "datetime", "tqdm", "trange"})
SOURCES = OURS | CLOCKS | {"ipywidgets", "interact", "interactive"}
_TIMING_MAGIC = re.compile(r"^\s*%%?(time|timeit|prun)\b", re.M)


def uncertain_cells(cells: Sequence[Cell]) -> set[int]:
    """The positions of the cells whose text output differs with budget, clock or front end."""
    found: set[int] = set()
    tainted = set(SOURCES)
    modules: set[str] = {"course_lib"}
    stateful: set[str] = set()
    for position, cell in enumerate(cells):
        if not cell.is_code:
            continue
        names = cell_names(cell.tree)
        imported = imports(cell.tree)
        fresh = {alias for alias, original in imported.items() if original in SOURCES}
        modules |= {alias for alias, original in imported.items() if original in ("course_lib", "training")}
        tainted -= names.bound
        uses = _reads(cell.tree) & fresh or names.needed & tainted or _through(cell.tree, modules) & OURS
        if uses or TAG in cell.tags or _TIMING_MAGIC.search(cell.source):
            found.add(position)
            tainted |= (names.bound - imported.keys()) | (names.needed & stateful)
        tainted |= fresh
        stateful |= _instances(cell.tree)
    return found


def imports(tree: ast.Module) -> dict[str, str]:
    """Each name a cell imports, with the last part of what it stands for: {"plt": "pyplot", "train": "fit"}."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                whole = isinstance(node, ast.ImportFrom) or alias.asname
                found[alias_name(alias)] = alias.name.rpartition(".")[2] if whole else alias_name(alias)
    return found


def _reads(tree: ast.Module) -> set[str]:
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}


def _through(tree: ast.Module, modules: set[str]) -> set[str]:
    """What is reached as an attribute of one of these modules, such as `fit` in `course_lib.fit(...)`."""
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules
    }


def _instances(tree: ast.Module) -> set[str]:
    """Names bound to an instance of a class: `model = VAE(64, 256, 2)`, `optimizer = torch.optim.Adam(...)`."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            called = [part.func for part in ast.walk(node.value) if isinstance(part, ast.Call)]
            last = [func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "") for func in called]
            if any(name[:1].isupper() for name in last):
                found |= bound_names(node.targets if isinstance(node, ast.Assign) else [node.target])
    return found
