"""Is an exercise lacking just where every release that fits lacks it, and is what a release said never an edit?"""

import json

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from autograder.cells import metadata
from autograder.hand_in.earlier import brought_forward
from autograder.releases import FILE, Release, Releases


def cell(name, source, points=None, **roles):
    kind = new_markdown_cell if name.startswith("text") else new_code_cell
    made = kind(source, id=name)
    if not name.startswith(("text", "code")):
        made.metadata = metadata(name, points, **roles)
    return made


def asked(name, points=1, edition="", checks="print(1)"):
    return [
        cell(name, f"def {name}():\n    raise NotImplementedError", solution=True),
        cell(f"{name}-checks", f"{checks}  # {name}", 0, grade=True, locked=True),
        cell(f"{name}-graded", f"# {name}, {points} points{edition}", points, grade=True, locked=True),
    ]


def released(*groups):
    return [cell("text-1", "# A lesson"), *(one for group in groups for one in group)]


FIRST = released(asked("a"), asked("b"))
SECOND = released(asked("a", edition=" (edition 2)"), asked("b", edition=" (edition 2)"), asked("c", 2, " (edition 2)"))
TWO = Releases(tuple(Release.of(new_notebook(cells=cells)) for cells in (FIRST, SECOND)))


def sources(cells, *without):
    return [one.source for one in cells if one["id"] not in without]


def test_what_the_older_release_lacked():
    assert TWO.lacking(sources(FIRST)) == {"c"}
    assert TWO.lacking(sources(SECOND)) == set()


@pytest.mark.parametrize("without", [("c", "c-checks", "c-graded"), ("c-graded",), ("a-graded", "b-graded")])
def test_deleting_cells_gains_nothing(without):
    assert TWO.lacking(sources(SECOND, *without)) == set()


def test_an_older_release_is_told_by_any_cell_that_is_left():
    assert TWO.lacking(sources(FIRST, "a", "a-graded", "text-1")) == {"c"}
    assert TWO.lacking(sources(FIRST, "a-graded", "b-graded")) == set(), "nothing is left that tells"
    assert TWO.lacking(["anything at all"]) == set()


def test_cells_of_two_releases_are_held_to_all_of_it():
    assert TWO.lacking([*sources(SECOND), *sources(FIRST)]) == set()


def test_without_the_edition_a_deleted_exercise_could_not_be_told():
    bare = released(asked("a"), asked("b"), asked("c", 2))
    unmarked = Releases((TWO.all[0], Release.of(new_notebook(cells=bare))))
    assert unmarked.lacking(sources(FIRST)) == set(), "so it is held against everybody"


def test_editions_count_what_is_asked():
    first, second = (release.asked for release in TWO.all)
    assert (TWO.edition(first), TWO.edition(second), TWO.edition(first | {"d"})) == (1, 2, 3)
    assert Releases().edition(first) == 1
    written = Release.of(new_notebook(cells=[cell("q", "Why?", 3, task=True), cell("q-answer", "…", 0, grade=True)]))
    assert written.asked == {"q"}


def test_what_is_kept_is_read_back_and_small(tmp_path):
    assert TWO.keep(tmp_path) and not TWO.keep(tmp_path)
    assert Releases.kept(tmp_path) == TWO
    back = TWO.followed_by(TWO.all[0])
    assert back.keep(tmp_path) and Releases.kept(tmp_path) == back
    differences = json.loads((tmp_path / FILE).read_text())["releases"]
    assert set(differences[1]["cells"]) == {"a-graded", "b-graded", "c", "c-checks", "c-graded"}
    assert differences[2]["points"] == {"c-checks": None, "c-graded": None}
    assert TWO.followed_by(TWO.all[1]) is TWO
    (tmp_path / FILE).write_text("{")
    with pytest.raises(FileNotFoundError, match=r"releases\.json cannot be read .* from the repository again"):
        Releases.kept(tmp_path)


def forward(cells, now, kept=TWO):
    made, remarks = brought_forward(cells, now, kept)
    return {one["id"]: one.source for one in made}, remarks


def test_what_a_release_said_gets_todays_text_and_no_remark():
    now = released(asked("a", edition=" (edition 2)", checks="print(2)"), asked("b"), asked("c", 2))
    kept = TWO.followed_by(Release.of(new_notebook(cells=now)))
    made, remarks = forward([cell("a-checks", "print(1)  # a  \n", 0), *asked("a")[:1]], now, kept)
    assert (made["a-checks"], remarks) == ("print(2)  # a", [])
    edited, _ = forward([cell("a-checks", "print(3)", 0)], now, kept)
    assert edited["a-checks"] == "print(3)", "no release said so"
    swapped, _ = forward([cell("a-checks", "print(1)  # b", 0)], now, kept)
    assert swapped["a-checks"] == "print(1)  # b", "of another cell"
    lost = new_code_cell("print(1)  # a")
    assert forward([lost], now, kept)[0][lost["id"]] == "print(2)  # a", "also where metadata were lost"


def test_given_text_of_an_earlier_release_goes_and_given_code_stays():
    before = [cell("text-1", "old"), cell("text-2", "stays"), cell("code-1", "x = 1")]
    now = [cell("text-3", "new"), cell("text-2", "stays"), cell("code-2", "x = 2")]
    kept = Releases(tuple(Release.of(new_notebook(cells=cells)) for cells in (before, now)))
    made, _ = forward([*before, cell("text-9", "mine")], now, kept)
    assert made == {"text-2": "stays", "code-1": "x = 1", "text-9": "mine"}


def test_an_exercise_that_was_taken_out():
    now = released(asked("b"))
    kept = TWO.followed_by(Release.of(new_notebook(cells=now)))
    written = [cell("a", "def a():\n    return 1", solution=True), *asked("a")[1:], *asked("c")]
    made, remarks = forward(written, now, kept)
    assert made == {"a": "def a():\n    return 1"}
    assert remarks == [f"{name} was taken out of the lesson; what was written there is kept" for name in "ac"]
