"""Is a new grade book what nbgrader itself would have made?"""

import os
import sys
from pathlib import Path

from nbgrader.api import Gradebook
from sqlalchemy import create_engine, inspect, text

from autograder.book import indexed, opened


def described(url):
    """Tables, columns and keys of a grade book, and the version of its tables."""
    engine = create_engine(url)
    look = inspect(engine)
    tables = {
        name: [str(look.get_columns(name)), look.get_pk_constraint(name), str(look.get_foreign_keys(name))]
        for name in look.get_table_names()
    }
    with engine.connect() as connection:
        return tables, connection.execute(text("SELECT version_num FROM alembic_version")).all()


def test_a_new_grade_book_is_as_nbgrader_makes_it_and_is_made_once(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)  # where nbgrader looks for Alembic
    ours, theirs = (f"sqlite:///{tmp_path / name}.db" for name in ("ours", "theirs"))
    Gradebook(theirs, "a course").close()
    with opened(ours, "a course") as book:
        book.add_student("ada")
    assert described(ours) == described(theirs) and len(described(ours)[1]) == 1
    with opened(ours, "a course") as book:
        assert [one.id for one in book.students] == ["ada"] and book.course_id == "a course"
    assert len(described(ours)[1]) == 1


def test_rows_of_a_hand_in_are_found_without_a_look_at_those_of_the_class(tmp_path):
    with opened(f"sqlite:///{tmp_path / 'book.db'}", "a course") as book:
        for _ in range(2):
            indexed(book)
        for table, column in (
            ("grade", "notebook_id"),
            ("comment", "notebook_id"),
            ("submitted_notebook", "assignment_id"),
        ):
            plan = book.db.execute(text(f"EXPLAIN QUERY PLAN SELECT * FROM {table} WHERE {column} = 'x'")).all()
            assert [row[3].split()[0] for row in plan] == ["SEARCH"], plan
