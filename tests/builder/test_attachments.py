"""Pictures beside a lesson's source: attached to the cell that shows them, and part of what a notebook is made of."""

import base64

from test_source import EXERCISE, ONE, problems
from tiny_course import EXERCISES, tiny_course

from autograder.builder.assemble import assemble
from autograder.builder.lag import stale
from autograder.builder.rules import validate
from autograder.builder.source import read_lesson

SHOWING = (
    EXERCISE + "\n# %% [markdown]\n# Look: ![Two squares](squares.kept.png) and ![from elsewhere](https://a.b/c.png)\n"
)
PICTURE = b"\x89PNG of two squares"


def test_a_picture_beside_the_source_becomes_an_attachment(tmp_path):
    source = tiny_course(tmp_path, SHOWING)
    source.with_name("squares.kept.png").write_bytes(PICTURE)
    lesson = read_lesson(source, tmp_path)
    assert validate(lesson, ONE) == []
    cell = assemble(lesson, {"double": 1}).notebook.cells[-1]
    assert cell.source == "Look: ![Two squares](attachment:squares.kept.png) and ![from elsewhere](https://a.b/c.png)"
    assert {name: base64.b64decode(data["image/png"]) for name, data in cell.attachments.items()} == {
        "squares.kept.png": PICTURE
    }


def test_a_picture_that_is_missing_is_named(tmp_path):
    assert "21: shows squares.kept.png, which is not beside the lesson" in problems(tmp_path, SHOWING)
    (line,) = stale(tmp_path / "solutions/01-tiny/tiny.py", tmp_path, EXERCISES)
    assert "shows squares.kept.png, which is missing" in line.text


def test_another_picture_makes_another_notebook(tmp_path):
    source = tiny_course(tmp_path, SHOWING)
    hashes = set()
    for picture in (PICTURE, PICTURE, PICTURE + b"!"):
        source.with_name("squares.kept.png").write_bytes(picture)
        made = assemble(read_lesson(source, tmp_path), {"double": 1}).notebook
        hashes.add(made.metadata.course.source_hash)
    assert len(hashes) == 2
