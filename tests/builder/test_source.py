"""Reading a lesson: its cells and options, their lines, and one clear line for everything that is wrong with it."""

from pathlib import Path

import pytest
from tiny_course import EXERCISES, LESSON, Points, tiny_course

from autograder.builder.rules import validate
from autograder.builder.source import LessonError, find_lessons, find_regions, parse, read_lesson, stub_line, stubbed

ONE = {"double": Points("double", 1)}
EXERCISE = """
# %% [markdown]
# ### Exercise: `double` · ●○○ · 1 minutes · 1 point

# %% exercise="double"
def double(a):
    \"\"\"Twice.\"\"\"
    ### BEGIN SOLUTION
    return 2 * a
    ### END SOLUTION

# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>Think.</details>
# <details><summary>Hint 2: the idea</summary>Think again.</details>
# <details><summary>Hint 3: nearly the line</summary>Write.</details>

# %% checks="double"
# Checks of double
print(double(2))
"""
CHECKS = '# %% checks="double"\n# Checks of double\nprint(double(2))\n'


def problems(tmp_path: Path, text: str, exercises=ONE) -> list[str]:
    """What is wrong with a lesson, as `line: text`."""
    source = tiny_course(tmp_path, text)
    with pytest.raises(LessonError) as caught:
        validate(read_lesson(source, tmp_path), exercises)
    shown = str(caught.value).splitlines()
    assert all(line.startswith("solutions/01-tiny/tiny.py:") for line in shown)
    return [line.removeprefix("solutions/01-tiny/tiny.py:") for line in shown]


def test_a_lesson_is_read_with_the_line_of_every_cell(tmp_path):
    source = tiny_course(tmp_path)
    lesson = read_lesson(source, tmp_path)
    assert validate(lesson, EXERCISES) == []
    assert (lesson.lesson, lesson.name) == ("01-tiny", "tiny")
    kinds = [(cell.kind, cell.name) for cell in lesson.cells if cell.name]
    assert kinds == [
        ("solution", "double"),
        ("checks", "double"),
        ("solution", "Counter"),
        ("checks", "Counter"),
        ("written", "why"),
        ("step", "doubled"),
        ("checks", "doubled"),
        ("predict", "my_list"),
    ]
    text = LESSON.splitlines()
    for cell in lesson.cells:
        assert text[cell.line - 1].startswith("# %%")
        first = cell.source.split("\n")[0]
        assert text[cell.line_of(0) - 1] == (first if cell.is_code else f"# {first}".rstrip())


def test_a_lesson_without_header_and_with_magics_is_read(tmp_path):
    text = "# %% [markdown]\n# Hello\n\n# %%\n# Plots inline\n# %matplotlib inline\nx = 1\n"
    lesson = read_lesson(tiny_course(tmp_path, text), tmp_path)
    assert lesson.cells[1].source == "# Plots inline\n%matplotlib inline\nx = 1"
    assert validate(lesson, {}) == []


def test_lessons_are_found_in_reading_order(tmp_path):
    for name in ("02-b", "01-a", "drafts"):
        (tmp_path / "solutions" / name).mkdir(parents=True)
        (tmp_path / "solutions" / name / f"{name[3:]}.py").touch()
    assert [path.parent.name for path in find_lessons(tmp_path)] == ["01-a", "02-b"]
    assert [path.parent.name for path in find_lessons(tmp_path, ["02-b"])] == ["02-b"]
    with pytest.raises(LookupError, match="no lesson 03-c: there is 01-a, 02-b"):
        find_lessons(tmp_path, ["03-c"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('# %% exercice="double"\n', "1: unknown cell option 'exercice'"),
        ("# %% Title\n", "1: unknown cell option 'title'"),
        ('# %% tags=["hide"]\n', "1: unknown tag 'hide'"),
        ('# %% exercise="double" checks="double"\n', "1: a cell is one of exercise and checks, not both"),
        ('# %% exercise="my double"\n', "1: exercise='my double' is no name"),
        ('# %% written="why" points=3\n', "1: a cell with written= is Markdown"),
        ("# %% points=3\n", "1: points stand with written questions"),
        ('# %% step="double" given="why"\n', "1: given= says why an exercise's formula may stand above it"),
        ('# %% [markdown] written="why" points=-1\n', "1: points=-1 is no positive number"),
        ("x = 1\n\n# %%\n", "1: text before the first cell"),
        ('# %%\nx = """\n# %% inside\n"""\n', "1: a line starting with `# %%` stands inside a string"),
    ],
)
def test_a_wrong_cell_line_is_named(tmp_path, text, expected):
    found = problems(tmp_path, text)
    assert any(line.startswith(expected) for line in found), found


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("    ### END SOLUTION\n", "", ["8: ### BEGIN SOLUTION without a ### END SOLUTION"]),
        ("    ### BEGIN SOLUTION\n", "", ["9: ### END SOLUTION without a ### BEGIN SOLUTION"]),
        (
            "    ### BEGIN SOLUTION\n    return 2 * a\n    ### END SOLUTION\n",
            "    return 2 * a\n",
            ["5: double has no ### BEGIN SOLUTION"],
        ),
        ("    return 2 * a\n", "    ### BEGIN SOLUTION\n", ["9: ### BEGIN SOLUTION inside another"]),
        ("def double(a)", "def treble(a)", ["5: exercise double: the cell does not define double"]),
        ('    """Twice."""\n', "", ["5: exercise double keeps no docstring"]),
        ("    return 2 * a", "    return 2 * (a", ["9: syntax error: '(' was never closed"]),
        (CHECKS, "", ["5: exercise double has no visible checks"]),
        (
            'checks="double"',
            'checks="treble"',
            ["5: exercise double has no visible", "17: checks of treble, which has no"],
        ),
        ("print(double(2))", 'print(double(2))\n# %% checks="double"\n', ["20: second checks cell of double"]),
        (
            "print(double(2))",
            "### BEGIN HIDDEN TESTS\n### END HIDDEN TESTS",
            ["19: ### BEGIN HIDDEN TESTS in a checks"],
        ),
        (
            "print(double(2))",
            "# %%\nx = 1\n### BEGIN SOLUTION\n### END SOLUTION",
            ["21: ### BEGIN SOLUTION in a code cell"],
        ),
    ],
)
def test_a_broken_exercise_is_named(tmp_path, old, new, expected):
    assert old in EXERCISE
    found = problems(tmp_path, EXERCISE.replace(old, new))
    for line in expected:
        assert any(other.startswith(line) for other in found), found


def test_exercises_and_hidden_checks_belong_together(tmp_path):
    found = problems(tmp_path, EXERCISE, {"half": Points("half", 1)})
    assert found == [
        "1: hidden checks of half without an exercise cell",
        "5: exercise double has no hidden checks in autograder/lessons/tiny/double.py",
    ]
    draft = validate(read_lesson(tiny_course(tmp_path, EXERCISE), tmp_path), {}, draft=True)
    assert [problem.line for problem in draft] == [5]


def test_one_name_is_one_exercise(tmp_path):
    twice = EXERCISE + EXERCISE
    assert "24: duplicate exercise double: the first is at line 5" in problems(tmp_path, twice)


def test_checks_stand_with_their_exercise(tmp_path):
    text = EXERCISE.replace(CHECKS, "") + EXERCISE.replace("double", "treble") + "\n" + CHECKS
    both = ONE | {"treble": Points("treble", 1)}
    found = problems(tmp_path, text, both)
    assert found == [
        "12: the checks of double do not follow its hints",
        "37: checks of double stand after exercise treble",
    ]


WRITTEN = """# %% [markdown] written="why" points=3
# ### Question: `why` · ●○○ · 1 minutes · 3 points
# Why?
#
# ### BEGIN MARK SCHEME
# Because.
# ### END MARK SCHEME
# ### BEGIN SOLUTION
# For a reason.
# ### END SOLUTION
"""


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('" points=3', '"', "1: written question why has no points"),
        ("# Because.\n", "", "1: written question why wants one mark scheme"),
        ("# ### END MARK SCHEME\n", "", "5: ### BEGIN MARK SCHEME without"),
        (
            "# ### BEGIN SOLUTION\n# For a reason.\n# ### END SOLUTION\n",
            "",
            "1: written question why wants one model answer",
        ),
    ],
)
def test_a_written_question_is_whole(tmp_path, old, new, expected):
    assert validate(read_lesson(tiny_course(tmp_path, WRITTEN), tmp_path), {}) == []
    assert [line[: len(expected)] for line in problems(tmp_path, WRITTEN.replace(old, new), {})] == [expected]


def test_nothing_leans_on_an_experiment(tmp_path):
    before = '# %% tags=["experiment"]\n# A factor\nfactor = 2\n'
    text = before + EXERCISE.replace("print(double(2))", "print(double(factor))")
    (found,) = problems(tmp_path, text)
    assert found.startswith("1: experiment defines factor, which the checks cell at line 20 needs")
    own = EXERCISE.replace("print(double(2))", "factor = 3\nprint(double(factor))")
    good = before + own + '# %% tags=["experiment"]\n# And again\nprint(factor)\n'
    assert validate(read_lesson(tiny_course(tmp_path, good), tmp_path), ONE) == []
    again = text.replace("# %% [markdown]", "# %%\n# Another factor\nfactor = 3\n\n# %% [markdown]", 1)
    assert validate(read_lesson(tiny_course(tmp_path, again), tmp_path), ONE) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "# %% [markdown]\n# $$a$$\n",
            ["1: no equation carries \\tag{n}: number the displayed ones, and check each by verify_equation(n, …)"],
        ),
        ("# %% [markdown]\n# $$a \\tag{1}$$\n", ["2: \\tag{1} is never checked: call verify_equation(1, …)"]),
        ("# %%\n# Line 2\nverify_equation(2, 1, 1)\n", ["3: verify_equation(2, …), but no equation carries \\tag{2}"]),
        (
            "# %%\n# An equation\nn = 1\nverify_equation(n, 1, 1)\n",
            ["4: verify_equation wants the equation's number first, as a literal"],
        ),
        (
            "# %% [markdown]\n# $$a \\tag{1}$$\n#\n# $$b \\tag{1}$$\n\n# %%\n# Line 1\nlib.verify_equation(1, 1, 1)\n",
            ["4: duplicate \\tag{1}: the first is at line 2"],
        ),
    ],
)
def test_every_numbered_equation_is_checked_once_numbered(tmp_path, text, expected):
    assert problems(tmp_path, text, {}) == expected


def test_all_problems_are_reported_together(tmp_path):
    text = EXERCISE.replace("2 * a", "2 * (a") + "# %% [markdown]\n# ### BEGIN SOLUTION\n"
    assert [line.split(":")[0] for line in problems(tmp_path, text, {})] == ["5", "9", "21"]


def test_the_stub_keeps_signature_and_docstring():
    source = 'def f(x):\n    """Doc."""\n    ### BEGIN SOLUTION\n    return x\n    ### END SOLUTION\n\n\nlast = 1'
    stub = stubbed("f", source)
    assert stub == f'def f(x):\n    """Doc."""\n    {stub_line("f", source)}\n\n\nlast = 1'
    space: dict = {}
    exec(stub, space)
    with pytest.raises(NotImplementedError, match=r"^f: write this function, then run the cell again$"):
        space["f"](1)
    assert "this part of the class" in stub_line("A", "class A:\n    pass")


def test_regions_and_magics_are_parsed():
    assert find_regions("a\n# BEGIN X\nb\n# END X", "X") == [(1, 3)]
    assert parse("%time f(1)\nx = await g()").body
    with pytest.raises(SyntaxError):
        parse("x = = 1")
