"""Are the imports of a module, found by how their lines begin, those of its tree?"""

import ast
from pathlib import Path

import pytest

import autograder
from autograder.grading.sources import PACKAGE, _imports_of

ROOT = Path(autograder.__file__).parent
FILES = sorted(path for path in ROOT.rglob("*.py") if "skeleton" not in path.parts)


def by_tree(name, path):
    """The modules of ours that are imported, and names in them."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            found = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        else:
            continue
        yield from (one for one in found if one.partition(".")[0] == PACKAGE)


def test_of_each_module_of_ours():
    assert len(FILES) > 300
    for path in FILES:
        parts = [PACKAGE, *path.relative_to(ROOT).with_suffix("").parts]
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        assert set(_imports_of(name, path)) == set(by_tree(name, path)), name


@pytest.mark.parametrize("name", ["p.a.b", "p.a"])
def test_of_every_form(tmp_path, name):
    path = tmp_path / ("__init__.py" if name == "p.a" else "b.py")
    path.write_text(
        f"import {PACKAGE}.one, os, {PACKAGE}.two as two  # and {PACKAGE}.none\\n"
        f"from {PACKAGE}.three import (  # a comment\\n    four,  # another\\n    five as six,\\n)\\n"
        f"def f():\\n    from {PACKAGE} import seven\\n    import {PACKAGE}.eight\\n"
        f"from .. import nine\\nfrom .ten import eleven\\nimport torch\\n".encode().decode("unicode_escape")
    )
    assert sorted(_imports_of(f"{PACKAGE}.{name}", path)) == sorted(by_tree(f"{PACKAGE}.{name}", path))
