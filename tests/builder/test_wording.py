"""Order, wording and first lines: what the builder says of a lesson that strays, and what it folds."""

import nbformat
import pytest
from test_source import EXERCISE, ONE, problems
from tiny_course import EXERCISES, LESSON, tiny_course

from autograder.builder.assemble import assemble
from autograder.builder.rules import validate
from autograder.builder.source import read_lesson
from autograder.builder.wording import read_heading

STEP = EXERCISE.replace("Exercise: `double` · ●○○ · 1 minutes · 1 point", "Step: `double` · ●○○ · 1 minutes").replace(
    'exercise="double"', 'step="double"'
)


def assembled(tmp_path, text: str = LESSON) -> dict[str, nbformat.NotebookNode]:
    lesson = read_lesson(tiny_course(tmp_path, text), tmp_path)
    assert validate(lesson, EXERCISES) == []
    points = {name: exercise.points for name, exercise in EXERCISES.items()}
    return {cell.id: cell for cell in assemble(lesson, points).notebook.cells}


def test_given_code_is_folded_and_what_the_student_writes_is_not(tmp_path):
    cells = assembled(tmp_path, LESSON + '\n# %% tags=["open"]\nTRAIN = False\n')
    folded = {name for name, cell in cells.items() if cell.metadata.get("jupyter") == {"source_hidden": True}}
    code = {name for name, cell in cells.items() if cell.cell_type == "code"}
    written = {name for name in code - folded if not name.startswith("code-")}
    assert written == {"double", "Counter", "doubled", "predict-my_list"}
    assert [cells[name].source for name in code - folded - written] == ["TRAIN = False"]
    assert {"double-checks", "double-graded", "doubled-checks"} <= folded


def test_a_step_has_visible_checks_alone(tmp_path):
    cells = assembled(tmp_path)
    assert "doubled-graded" not in cells
    assert cells["doubled"].metadata.nbgrader.solution and cells["doubled-checks"].metadata.nbgrader.points == 0


def test_a_prediction_is_an_experiment(tmp_path):
    assert assembled(tmp_path)["predict-my_list"].metadata.tags == ["experiment"]


def test_a_step_is_worth_nothing_and_nothing_leans_on_it(tmp_path):
    assert validate(read_lesson(tiny_course(tmp_path, STEP), tmp_path), {}) == []
    assert "5: step double has hidden checks: make it an exercise" in problems(tmp_path, STEP)
    later = STEP + "\n# %%\n# More of it\nprint(double(3))\n"
    assert problems(tmp_path, later, {}) == [
        "5: step double is needed by the code cell at line 21: a step may be skipped"
    ]
    outside = STEP.replace("    ### BEGIN", "    pass\n\n\n### BEGIN").replace("    return 2 * a\n    #", "x = 1\n#")
    expected = "5: the stub of double fails when its cell runs: keep the region in a function"
    assert expected in problems(tmp_path, outside, {})


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("### Exercise: `double`", "### Exercise 1: `double`", "5: double has no heading of its own, such as ###"),
        ("### Exercise: `double`", "### Exercise: the double", "5: double has no heading of its own"),
        (" · 1 point", " · 2 points", "5: double is worth 1, and its heading says otherwise"),
        (" · 1 point", "", "5: the heading of double tells no points"),
        ("1 minutes", "1 min", "5: double has no heading of its own"),
        ("Hint 2: the idea", "Hint 2: an idea", "5: below the stub of double stands a cell of three folded hints"),
        ("# <details><summary>Hint 1", "# Help.\n# <details><summary>Hint 1", "12: the hints of double share their"),
        ("# Checks of double", "# Checks", "18: the first line of these checks is: # Checks of double"),
        ("print(double(2))", 'expect(double(2), 4, "twice")', '19: a check of double begins with its name'),
        ("print(double(2))", 'expect(double(2), 4, "double: twice")', "19: a check of double without a hint"),
        ("print(double(2))", "verify_equation(1, double(2), 4)", '19: verify_equation in the checks of double'),
        ("print(double(2))", 'print(1)\n\n# %%\nx = 1', "22: a folded cell says in its first line what it is"),
        ("print(double(2))", 'print(1)\n\n# %%\n# Word\nx = 1', "22: a folded cell says in its first line what it is"),
        ("Think.", "Think `twice`.", "13: ` within HTML is shown as it stands"),
        ("Think.", "Think\n# *twice*.", "14: *t within HTML is shown as it stands"),
        ("Think.", r"Think of $\varepsilon$.", r"12: epsilon is written \epsilon in every lesson"),
    ],
)  # fmt: skip
def test_what_strays_is_named(tmp_path, old, new, expected):
    assert old in EXERCISE
    found = problems(tmp_path, EXERCISE.replace(old, new))
    assert any(line.startswith(expected) for line in found), found


def test_markup_below_an_empty_line_and_stars_in_formulas_are_no_html(tmp_path):
    for fine in ("</summary>\n#\n# Think `twice`, *hard*.", "</summary>Of $a^*b^*$ and <code>2 **x</code>."):
        source = tiny_course(tmp_path, EXERCISE.replace("</summary>Think.", fine))
        assert validate(read_lesson(source, tmp_path), ONE) == []


def test_a_check_named_in_any_style_is_read(tmp_path):
    styles = ('"double: twice", hint="add"', 'hint="add", what=f"double: {2} is twice"')
    for check in (f"expect(double(2), 4, {style})" for style in styles):
        source = tiny_course(tmp_path, EXERCISE.replace("print(double(2))", check))
        assert validate(read_lesson(source, tmp_path), ONE) == []


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("my_x = 1  # your prediction\nprint(my_x)", "3: a prediction cell holds assignments alone"),
        ("my_x = 1", "2: say what the number is: # your prediction, in nats"),
        ("my_x = (\n    1  # your prediction\n)", "2: a prediction stands on one line: shorten what it says"),
        ("my_y = 1  # your prediction", "1: prediction my_x: the cell does not define my_x"),
    ],
)
def test_a_prediction_can_be_changed_at_a_glance(tmp_path, cell, expected):
    assert expected in problems(tmp_path, f'# %% predict="my_x"\n{cell}\n', {})


def test_neighbours_share_a_heading():
    heading = read_heading("### Exercise: `predict_x0` and `predict_eps` · ●○○ · 6 minutes · 1 + 1 points")
    assert heading.names == ("predict_x0", "predict_eps") and heading.points == (1, 1)
    assert read_heading("### Exercise: `a` · ●○○ · 6 minutes · 1 points") is None
    assert read_heading("### Exercise: `a` · ●○○ · 6 minutes · 2 point") is None
    assert read_heading("## 3 · Bayes") is None
