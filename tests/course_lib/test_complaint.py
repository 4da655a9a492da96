"""What a student reads where a function of theirs is missing or fails: in a real shell, from real cells."""

import re

import pytest
from IPython.core.interactiveshell import InteractiveShell

from course_lib import complaint

CHECKS = "# Checks of double\nfrom course_lib import expect\nexpect(double(2) + 0, 4, 'double: twice')"
LATER = "# Experiment: many of them\ntable = [double(n) for n in range(3)]"


@pytest.fixture
def shell(monkeypatch):
    """A shell with the course's hook, and nothing of an earlier test's."""
    shell = InteractiveShell()
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)
    complaint.install()
    return shell


def shown(shell, capsys, *cells: str) -> list[str]:
    """What the last of these cells prints."""
    for cell in cells[:-1]:
        assert shell.run_cell(cell, store_history=True).success
    capsys.readouterr()
    assert not shell.run_cell(cells[-1], store_history=True).success
    return re.sub(r"\x1b\[[\d;]*m", "", capsys.readouterr().out).strip().splitlines()


@pytest.mark.parametrize("cell", [CHECKS, LATER, "double(1)"])
def test_an_exercise_that_is_not_written_is_one_line_wherever_it_is_met(shell, capsys, cell):
    stub = 'def double(a):\n    raise NotImplementedError("double: write this function, then run the cell again")'
    expected = ["✗ double: write this function, then run the cell again"]
    assert shown(shell, capsys, stub, cell) == expected


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (
            ["def double(a):\n    twice = a / 0\n    return twice"],
            ["✗ double: in line 2 of your cell, ZeroDivisionError: division by zero", "  twice = a / 0"],
        ),
        (
            ["def half(a):\n    return a / 0", "def double(a):\n    return 4 * half(a)"],
            ["✗ double: in line 2 of your cell, ZeroDivisionError: division by zero", "  return 4 * half(a)"],
        ),
        (
            ["# Given\ndef half(a):\n    return a / 0", "def double(a):\n    b = 4 * half(a)\n    return b"],
            ["✗ double: in line 2 of your cell, ZeroDivisionError: division by zero", "  b = 4 * half(a)"],
        ),
        (
            ["def double(a):\n    import math\n    return math.sqrt(-a)"],
            ["✗ double: in line 3 of your cell, ValueError: ", "  return math.sqrt(-a)"],
        ),
        (
            ["def double(a):\n    2 * a"],
            [
                "✗ double: the check cannot go on with what came back, TypeError: unsupported operand",
                "  expect(double(2) + 0, 4, 'double: twice')",
            ],
        ),
        (["def double(a):\n    return 2 + 1"], ["✗ double: twice: expected 4, got 3."]),
    ],
)
def test_an_error_inside_a_check_is_told_as_the_students(shell, capsys, cells, expected):
    lines = shown(shell, capsys, *cells, CHECKS)
    assert len(lines) == len(expected)
    assert all(line.startswith(start) for line, start in zip(lines, expected, strict=True)), lines


def test_all_other_errors_are_shown_as_ever(shell, capsys):
    lines = shown(shell, capsys, "def double(a):\n    return a / 0", LATER)
    assert len(lines) > 6 and lines[-1] == "ZeroDivisionError: division by zero"
    lines = shown(shell, capsys, "raise NotImplementedError('later')")
    assert len(lines) > 2 and lines[-1] == "NotImplementedError: later"


def test_outside_a_notebook_nothing_is_installed(monkeypatch):
    monkeypatch.setattr("IPython.get_ipython", lambda: None)
    assert complaint.install() is None
