"""A lesson changes in mid-term: what a build keeps and says, and a grade book that is migrated."""

import shutil
import sqlite3

import nbformat
import pytest
from nbgrader.api import Gradebook
from sqlalchemy.exc import OperationalError
from tiny_course import EXERCISES, LESSON, Points, tiny_course

from autograder.builder import migration
from autograder.builder.lag import stale
from autograder.builder.meaning import meaning
from autograder.builder.notebooks import build
from autograder.builder.release import ReleaseError, release
from autograder.releases import FILE, Release, Releases

COURSE = "deep-generative-models"
HALF = """# %% [markdown]
# ### Exercise: `half` · ●○○ · 1 minutes · 2 points

# %% exercise="half"
def half(a):
    \"\"\"Half of `a`.\"\"\"
    ### BEGIN SOLUTION
    return a / 2
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>Think.</details>
# <details><summary>Hint 2: the idea</summary>Think again.</details>
# <details><summary>Hint 3: nearly the line</summary>Write.</details>

# %% checks="half"
# Checks of half
print(half(2))

"""
NEXT = "# %% [markdown]\n# Now a class."
ADDED = LESSON.replace(NEXT, HALF + NEXT).replace(
    "if name ==", 'if name == "half":\n        return 2.0\n    if name ==', 1
)
WITH_HALF = {**EXERCISES, "half": Points("half", 2)}
pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")  # nbgrader's own, at a submission


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    """A course of one lesson that two have handed in, with marks by hand."""
    root = tmp_path_factory.mktemp("released")
    build(tiny_course(root), root, EXERCISES)
    with book_of(root) as book:
        for student in ("ada", "ben"):
            book.add_student(student)
            book.add_submission("01-tiny", student)
        for name, student, points in (("why", "ada", 2.5), ("double-graded", "ada", 1.25), ("why", "ben", 1.0)):
            grade = book.find_grade(name, "tiny", "01-tiny", student)
            grade.manual_score, grade.needs_manual_grade = points, False
        book.find_comment("why", "tiny", "01-tiny", "ada").manual_comment = "Well said."
        book.db.commit()
    return root


@pytest.fixture(scope="module")
def changed(released, tmp_path_factory):
    """The same, with an exercise added by a build, and what that returned."""
    root = tmp_path_factory.mktemp("changed")
    shutil.copytree(released, root, dirs_exist_ok=True)
    source = tiny_course(root, ADDED)
    return root, build(source, root, WITH_HALF)


@pytest.fixture
def course(released, tmp_path):
    return shutil.copytree(released, tmp_path / "course")


def book_of(root, name="gradebook.db"):
    return Gradebook(f"sqlite:///{root / name}", COURSE)


def student_notebook(root):
    return nbformat.read(root / "notebooks" / "01-tiny" / "tiny.ipynb", as_version=4)


def marks(root, name="gradebook.db"):
    with book_of(root, name) as book:
        return {
            (held.student_id, grade.name): (grade.manual_score, grade.max_score)
            for held in book.assignment_submissions("01-tiny")
            for grade in held.notebooks[0].grades
            if grade.max_score
        }


def test_a_build_keeps_what_it_releases_and_what_that_takes_the_place_of(changed, released):
    root, _ = changed
    kept = Releases.kept(root / "solutions" / "01-tiny")
    assert kept.all == tuple(Release.of(student_notebook(place)) for place in (released, root))
    assert not (root / "notebooks" / "01-tiny" / FILE).exists()
    first, second = kept.all
    assert second.asked - first.asked == {"half"}
    old, new = ({c["id"]: c.source for c in student_notebook(place).cells} for place in (released, root))
    assert old["double-graded"].startswith("# double, 2 points: hidden")
    assert new["double-graded"].startswith("# double, 2 points (edition 2 of the lesson): hidden")
    assert kept.lacking(old.values()) == {"half"}
    assert kept.lacking(text for name, text in new.items() if not name.startswith("half")) == set()


def test_a_notebook_that_came_without_a_build_is_kept_by_the_next(course):
    """As an upgrade brings it, of a version that kept nothing."""
    (course / "solutions" / "01-tiny" / FILE).unlink()
    before = Release.of(student_notebook(course))
    source = tiny_course(course, LESSON.replace("Now a class.", "Then a class."))
    made = build(source, course, EXERCISES)
    assert Releases.kept(source.parent).all == (before, Release.of(student_notebook(course)))
    assert [line.partition(":")[0].strip() for line in made.means[1:]] == ["text"]
    assert list(stale(source, course, EXERCISES)) == []


def test_a_build_says_what_it_means(changed):
    _, made = changed
    migrated, head, *lines = made.means
    assert migrated.startswith("01-tiny: the grade book was migrated (+half), its copy is ")
    assert head == "changed since the release before, and 2 have handed in (by the grade book):"
    assert lines[0].startswith("  added: half. Not held against those whose release lacked it")
    assert [line.partition(":")[0].strip() for line in lines] == ["added", "given code", "text"]


def test_each_kind_of_change_is_told(released):
    before, after = student_notebook(released), student_notebook(released)
    assert meaning(before, after, 2) == []
    after.cells = [cell for cell in after.cells if not cell["id"].startswith("Counter")]
    for cell in after.cells:
        if cell["id"] == "double-graded":
            cell.metadata.nbgrader.points = 3
        if cell["id"] in ("double-checks", "double", "why"):
            cell.source += " "
            cell.source += "mended"
    lines = meaning(before, after, 0)
    assert "nobody has handed in" in lines[0]
    assert [line.partition(".")[0].strip() for line in lines[1:]] == [
        "taken out: Counter",
        "points: double 2 -> 3",
        "visible checks: double",
        "cells to write in: double",
        "questions: why",
    ]


def test_the_grade_book_is_copied_and_migrated_and_marks_by_hand_stand(changed, released):
    root, _ = changed
    (copy,) = root.glob("gradebook-*.db")
    assert marks(root, copy.name) == marks(released)
    assert marks(root) == marks(released), "who handed in has no row of the new exercise"
    with book_of(root) as book:
        assert "half-graded" in {cell.name for cell in book.find_notebook("tiny", "01-tiny").grade_cells}
        assert book.find_comment("why", "tiny", "01-tiny", "ada").comment == "Well said."
        book.add_student("eve")
        book.add_submission("01-tiny", "eve")
        assert marks(root)["eve", "half-graded"] == (None, 2.0)
    assert sqlite3.connect(copy).execute("SELECT count(*) FROM alembic_version").fetchone() == (1,)
    assert not release("01-tiny", root, root / "solutions", f"sqlite:///{root / 'gradebook.db'}").anew


def test_what_is_taken_out_or_renamed_goes_with_its_marks_and_the_copy_has_them(course):
    text = LESSON[: LESSON.index("# %% [markdown] written")] + LESSON[LESSON.index("# %% [markdown]\n# ### Step") :]
    text = text.replace("double", "twice")
    named = {**EXERCISES, "twice": Points("twice", 2)}
    del named["double"]
    before = marks(course)
    made = build(tiny_course(course, text), course, named)
    assert "(+twice, +twiced, -double, -doubled, -why)" in made.means[0]
    assert "3 marks by hand of what was taken out are in the copy alone" in made.means[0]
    (copy,) = course.glob("gradebook-*.db")
    assert marks(course, copy.name) == before
    assert marks(course) == {(student, "Counter-graded"): (None, 1.5) for student in ("ada", "ben")}


def test_a_migration_that_fails_leaves_the_grade_book_as_it_was(course, monkeypatch):
    source = course / "solutions" / "01-tiny" / "tiny.ipynb"
    notebook = nbformat.read(source, as_version=4)
    notebook.cells = [cell for cell in notebook.cells if not cell["id"].startswith("Counter")]
    nbformat.write(notebook, source)
    before, real = (course / "gradebook.db").read_bytes(), migration._without

    def broken(*about):
        real(*about)
        raise OperationalError("DELETE", {}, Exception("disk full"))

    monkeypatch.setattr(migration, "_without", broken)
    with pytest.raises(ReleaseError, match="cannot be migrated to 01-tiny, and is as it was") as caught:
        release("01-tiny", course, course / "solutions", f"sqlite:///{course / 'gradebook.db'}")
    assert "\n" not in str(caught.value)
    assert (course / "gradebook.db").read_bytes() == before
