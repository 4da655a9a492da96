"""What `import course_lib` brings, and what it must not bring."""

import importlib
import inspect
import pkgutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import course_lib

MODULES = [importlib.import_module(module.name) for module in pkgutil.walk_packages(course_lib.__path__, "course_lib.")]

TABLES = sorted((Path(__file__).parents[1] / "autograder" / "lessons").glob("*/points.toml"))


def public_members():
    for module in MODULES:
        for name, member in vars(module).items():
            if not name.startswith("_") and getattr(member, "__module__", None) == module.__name__:
                yield f"{module.__name__}.{name}", member
                if inspect.isclass(member):
                    for inner, method in vars(member).items():
                        if not inner.startswith("_"):
                            yield f"{module.__name__}.{name}.{inner}", method


def test_no_member_carries_the_name_of_an_exercise():
    names = {path.rsplit(".", 1)[-1].lower() for path, _ in public_members()}
    exercises = {name.lower() for table in TABLES for name in tomllib.loads(table.read_text(encoding="utf-8"))}
    assert "gaussian_kl" in exercises and not names & exercises


def test_import_is_light_and_knows_no_grader():
    script = """
import sys, course_lib
from course_lib import data, exact, metrics, networks, plots, widgets
heavy = ["sklearn", "scipy", "matplotlib", "ipywidgets", "IPython", "pandas", "autograder"]
print([name for name in heavy if name in sys.modules])
"""
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


@pytest.mark.parametrize("path, member", list(public_members()), ids=lambda v: v if type(v) is str else "")
def test_public_functions_say_what_they_do(path, member):
    if inspect.isfunction(member) or inspect.isclass(member) or isinstance(member, property):
        assert member.__doc__ and len(member.__doc__) > 20, path


def test_the_glossary_is_a_table_of_three_columns():
    rows = [line for line in course_lib.__doc__.splitlines() if line.startswith("|")]
    assert len(rows) > 10 and {row.count("|") for row in rows} == {4}
