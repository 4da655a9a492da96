"""Does a first hand-in leave the rows that nbgrader's own API leaves?"""

from datetime import datetime

import pytest
from sqlalchemy import create_engine, inspect, text
from tiny import LESSON, make_checkout, tiny_exercises, tiny_master

from autograder.builder.release import release
from autograder.cells import exercise_graded_in, note_lacking
from autograder.checkout import course_config, database_url
from autograder.grading import gradebook
from autograder.grading.graded import FAILED, GRADED, Graded
from autograder.grading.runner import with_verdicts
from autograder.hand_in.beside import TIMESTAMP
from autograder.marks import Mark


def hand_in(student, points, lacking=()):
    """A result with so many points for each exercise, whose release lacked some."""
    marks = tuple(
        Mark(name, worth, one.points, worth == one.points, None, "Said.", ())
        for (name, one), worth in zip(tiny_exercises().items(), points, strict=True)
    )
    notebook = with_verdicts(tiny_master().released, {mark.name: mark for mark in marks})
    for cell in notebook.cells:
        if exercise_graded_in(cell) in lacking:
            note_lacking(cell)
    return Graded(student, LESSON, GRADED, 1.0, (), marks, notebook)


def rows_of(url):
    """All rows of a grade book, with names in the place of keys that are drawn at random."""
    engine = create_engine(url)
    with engine.connect() as connection:
        tables = {
            table: [dict(row._mapping) for row in connection.execute(text(f"SELECT * FROM {table}"))]
            for table in inspect(engine).get_table_names()
        }
    named = {
        row["id"]: f"{table} {row['name']}"
        for table in ("assignment", "notebook", "base_cell")
        for row in tables[table]
    }
    for row in tables["submitted_assignment"]:
        named[row["id"]] = f"hand-in of {row['student_id']}"
    for row in tables["submitted_notebook"]:
        named[row["id"]] = f"notebook of {named[row['assignment_id']]}"
    return {
        table: sorted(
            str([(key, named.get(value, value)) for key, value in row.items() if key != "id" or value in named])
            for row in rows
        )
        for table, rows in tables.items()
    }


@pytest.mark.parametrize("again", [False, True], ids=["first", "and again"])
def test_a_first_hand_in_leaves_the_rows_that_nbgrader_leaves(tmp_path, monkeypatch, again):
    root = tmp_path / "checkout"
    root.mkdir()
    make_checkout(root, written=True)
    last = list(tiny_exercises())[-1]
    class_ = [
        hand_in("ada", (2.0, 1.0)),
        hand_in("ben", (0.5, 0.0), lacking=(last,)),
        Graded("eve", LESSON, FAILED, 0.0, ("no notebook",), (), None),
    ]
    found = []
    for name in ("ours", "nbgrader's"):
        out, config = tmp_path / name, course_config(root)
        out.mkdir()
        release(LESSON, root, root / "solutions", database_url(out, config))
        if name != "ours":
            monkeypatch.setattr(gradebook, "first_rows", lambda *_: {})
        with gradebook.GradebookWriter(out, config) as book:
            for graded in [*class_, *(class_ if again else [])]:
                folder = out / "submitted" / graded.student / LESSON
                folder.mkdir(parents=True, exist_ok=True)
                (folder / TIMESTAMP).write_text("2031-05-05 10:00:00 UTC")
                book.write(graded, "tiny", folder)
        found.append(rows_of(database_url(out, config)))
    assert found[0] == found[1]
    assert len(found[0]["submitted_assignment"]) == 3 and str(datetime(2031, 5, 5, 10)) in str(found[0])
