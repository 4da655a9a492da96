"""Do hand-ins, one by one or many at once, leave the rows that nbgrader's own API leaves?"""

from datetime import datetime

import pytest
from nbgrader.preprocessors import SaveAutoGrades
from sqlalchemy import create_engine, inspect, text
from tiny import LESSON, make_checkout, tiny_exercises, tiny_master

from autograder.builder.release import release
from autograder.cells import exercise_graded_in, lacking, note_lacking
from autograder.checkout import course_config, database_url
from autograder.grading import byhand, gradebook
from autograder.grading.finished import Finished
from autograder.grading.graded import FAILED, GRADED, NOT_GRADED, Graded
from autograder.grading.rows import complete, leave_out
from autograder.grading.runner import with_verdicts
from autograder.grading.storing import stored
from autograder.hand_in.beside import TIMESTAMP
from autograder.hand_in.finding import Entry, timestamp
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


def by_nbgrader(writer, graded, folder):
    """What nbgrader's own route does with a hand-in: its API makes the rows, its SaveAutoGrades fills them."""
    book, when = writer.gradebook, timestamp(folder)[0]
    book.update_or_create_student(graded.student)
    book.update_or_create_submission(LESSON, graded.student, timestamp=when)
    held = book.find_submission_notebook("tiny", LESSON, graded.student)
    complete(book, held)
    grades = {grade.name: grade for grade in held.grades}
    before = byhand.held(grades)
    if graded.notebook is None:
        for grade in held.grades:
            grade.auto_score = 0.0
        book.db.commit()
        return
    saver = SaveAutoGrades()
    saver.gradebook, saver.notebook_id, saver.assignment_id, saver.student_id = book, "tiny", LESSON, graded.student
    for cell in graded.notebook.cells:
        if not lacking(cell):
            saver.preprocess_cell(cell, {}, 0)
    byhand.queue(grades, before, byhand.worth_of(graded.notebook), lambda: graded.notebook, lambda: graded.notebook)
    leave_out(book, held, graded.notebook.cells)
    book.db.commit()


def one_by_one(writer, class_, folders):
    for graded in class_:
        writer.write(graded, "tiny", folders[graded.student])


def at_once(writer, class_, folders):
    writer.write_all([Finished(graded, "tiny", folders[graded.student]) for graded in class_])


def nbgraders(writer, class_, folders):
    for graded in class_:
        by_nbgrader(writer, graded, folders[graded.student])


@pytest.mark.parametrize("again", [False, True], ids=["first", "and again"])
def test_hand_ins_leave_the_rows_that_nbgrader_leaves(tmp_path, again):
    root = tmp_path / "checkout"
    root.mkdir()
    make_checkout(root, written=True)
    first, last = tiny_exercises()
    class_ = [
        hand_in("ada", (2.0, 1.0)),
        hand_in("ben", (0.5, 0.0), lacking=(last,)),
        Graded("eve", LESSON, FAILED, 0.0, ("no notebook",), (), None),
        hand_in("zoe", (0.0, 0.0)),
    ]
    # Once more: worse, with the exercise that was lacking, without one that was there; and somebody who is new.
    later = [hand_in("ada", (2.0, 0.0)), hand_in("ben", (0.5, 1.0)), hand_in("new", (1.0, 1.0)), class_[2]]
    later.append(hand_in("zoe", (0.0, 0.0), lacking=(last,)))
    found = []
    for way in (nbgraders, one_by_one, at_once):
        out, config = tmp_path / way.__name__, course_config(root)
        out.mkdir()
        release(LESSON, root, root / "solutions", database_url(out, config))
        folders = {student: out / "submitted" / student / LESSON for student in ("ada", "ben", "eve", "zoe", "new")}
        with gradebook.GradebookWriter(out, config) as book:
            for day, some in enumerate([class_, later] if again else [class_], start=5):
                for folder in folders.values():
                    folder.mkdir(parents=True, exist_ok=True)
                    (folder / TIMESTAMP).write_text(f"2031-05-{day:02} 10:00:00 UTC")
                way(book, some, folders)
                if day == 5:  # a person marks, and comments
                    book.gradebook.find_grade(f"{first}-graded", "tiny", LESSON, "ada").manual_score = 0.25
                    book.gradebook.find_comment(first, "tiny", LESSON, "ada").manual_comment = "By hand."
                    book.gradebook.db.commit()
        found.append(rows_of(database_url(out, config)))
    assert found[0] == found[1] == found[2]
    assert len(found[0]["submitted_assignment"]) == (5 if again else 4)
    times = "".join(found[2]["submitted_assignment"])
    assert times.count(str(datetime(2031, 5, 6, 10))) == (5 if again else 0)
    assert "'manual_score', 0.25" in str(found[2]["grade"]) and "By hand." in str(found[2]["comment"])


def test_what_would_be_stored_with_one_that_fails_is_not(tmp_path):
    root = tmp_path / "checkout"
    root.mkdir()
    make_checkout(root)
    release(LESSON, root, root / "solutions", database_url(tmp_path, config := course_config(root)))
    good, bad = hand_in("ada", (2.0, 1.0)), hand_in("ben", (0.5, 0.0))
    bad.notebook.cells[1].metadata["nbgrader"] = {"grade_id": "nobody's", "grade": True, "points": 1}
    with gradebook.GradebookWriter(tmp_path, config) as book:
        before = rows_of(book.db_url)
        with pytest.raises(KeyError, match="nobody's"):
            book.write_all([Finished(one, "tiny", tmp_path) for one in (good, bad)])
        assert rows_of(book.db_url) == before and not list((tmp_path / "autograded").rglob("*.ipynb"))
        book.write(good, "tiny", tmp_path)
        assert len(rows_of(book.db_url)["submitted_assignment"]) == 1


def test_of_what_comes_together_one_that_cannot_be_stored_costs_itself_alone(tmp_path):
    root = tmp_path / "checkout"
    root.mkdir()
    make_checkout(root)
    release(LESSON, root, root / "solutions", database_url(tmp_path, config := course_config(root)))
    came = {Entry(name, LESSON, tmp_path / "tiny.ipynb"): hand_in(name, (2.0, 1.0)) for name in ("ada", "ben", "zoe")}
    names = {entry: entry.student for entry in came}
    together = []

    class Pages:
        def write_all(self, finished, files):
            together.append([one.graded.student for one in finished])
            if "ben" in together[-1]:
                raise OSError("no room for a page")

    with gradebook.GradebookWriter(tmp_path, config) as book:
        results = stored(came, {LESSON: tiny_master()}, book, Pages())
        scores = book.auto_scores(LESSON, "tiny")
    assert {names[entry]: one.status for entry, one in results.items()} == {
        "ada": GRADED,
        "ben": NOT_GRADED,
        "zoe": GRADED,
    }
    assert together == [["ada", "ben", "zoe"], ["ada"], ["ben"], ["zoe"]] and sorted(scores) == ["ada", "zoe"]
    assert sorted(path.parts[-3] for path in (tmp_path / "autograded").rglob("tiny.ipynb")) == ["ada", "zoe"]
