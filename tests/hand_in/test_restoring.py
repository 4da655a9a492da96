"""Is a submission read whatever it is, and put back in order with a word about what had been changed?"""

import json
from copy import deepcopy

import nbformat
import pytest
from nbformat.v4 import new_code_cell

from autograder.hand_in.definitions import imported
from autograder.hand_in.notebook_file import SubmissionError, read
from autograder.hand_in.restoring import restore


def sources(restored, identity):
    return [cell.source for cell in restored.notebook.cells if cell["id"] == identity]


def find(notebook, identity):
    return next(cell for cell in notebook.cells if cell["id"] == identity)


BROKEN = {
    "not JSON": b"{",
    "empty": b"",
    "binary": b"\x00\xff\xfe",
    "a list": b"[]",
    "no cells": b'{"nbformat": 4}',
    "cells of no kind": b'{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [{"source": 1}]}',
    "cells that are no list": b'{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": 3}',
    "a version of the future": b'{"nbformat": 99, "nbformat_minor": 0, "metadata": {}, "cells": []}',
    "nested without end": b"[" * 100_000,
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_file_is_refused_in_one_line(tmp_path, content):
    path = tmp_path / "tiny.ipynb"
    path.write_bytes(content)
    with pytest.raises(SubmissionError) as caught:
        read(path)
    assert "tiny.ipynb" in str(caught.value) and "\n" not in str(caught.value)


def test_modules_are_those_that_a_cell_imports_as_it_runs():
    source = "%pwd\nimport a.b as c, d\nfrom e.f import g\ndef h():\n    from . import i\n    from j import k"
    assert imported(source) == {"a.b", "d", "e.f"} and imported("import (") == set()


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(SubmissionError, match=r"gone\.ipynb is missing"):
        read(tmp_path / "gone.ipynb")


def test_an_untouched_submission_has_no_flags(master, hand_in):
    restored = restore(read(hand_in()), master)
    assert restored.flags == ()
    nbformat.validate(restored.notebook)


def test_what_runs_is_the_code_but_not_graded_cells_nor_unchanged_experiments(master, hand_in):
    restored = restore(read(hand_in()), master)
    ran = [cell["id"] for cell, runs in zip(restored.notebook.cells, restored.runs, strict=True) if runs]
    assert ran == ["imports", "tiny_double", "tiny_double-checks", "tiny_apply", "tiny_apply-checks"]


def test_an_experiment_that_was_changed_runs(master, hand_in):
    path = hand_in(lambda notebook: find(notebook, "show").update(source="helper = 1"))
    restored = restore(read(path), master)
    assert "show" in [c["id"] for c, runs in zip(restored.notebook.cells, restored.runs, strict=True) if runs]


def change_tags(notebook):
    find(notebook, "tiny_double-graded").metadata["tags"] = ["skip-execution"]


def change_points(notebook):
    find(notebook, "tiny_double-graded").metadata.nbgrader.points = 200


def change_lock(notebook):
    find(notebook, "tiny_double-graded").source = "2.0"


def change_type(notebook):
    cell = find(notebook, "tiny_double-checks")
    cell.cell_type = "raw"
    del cell["outputs"], cell["execution_count"]


def drop_metadata(notebook):
    find(notebook, "tiny_double-graded").metadata = {}


def drop_cell(notebook):
    notebook.cells.remove(find(notebook, "tiny_double-graded"))


def future_schema(notebook):
    find(notebook, "tiny_double-graded").metadata.nbgrader.schema_version = 99


def double_cell(notebook):
    twin = deepcopy(find(notebook, "tiny_double"))
    twin["id"] = "twin"
    notebook.cells.append(twin)


TAMPERING = [change_tags, change_points, change_lock, change_type, drop_metadata, drop_cell, future_schema, double_cell]


@pytest.mark.parametrize("change", TAMPERING)
def test_the_courses_cells_are_restored_and_the_change_is_told(master, hand_in, change):
    restored = restore(read(hand_in(change)), master)
    assert len(restored.flags) == 1 and "tiny_double" in restored.flags[0]
    kept = [cell for cell in restored.notebook.cells if cell.metadata.get("nbgrader")]
    given = [cell for cell in master.released.cells if cell.metadata.get("nbgrader")]
    assert [cell.metadata for cell in kept] == [cell.metadata for cell in given]
    assert sources(restored, "tiny_double-graded") == ["### BEGIN HIDDEN TESTS"]
    nbformat.validate(restored.notebook)


def test_own_cells_stay_where_they_were(master, hand_in):
    def add(notebook):
        notebook.cells.insert(2, new_code_cell("helper = 3"))
        notebook.cells.append(new_code_cell("last = 1"))

    restored = restore(read(hand_in(add)), master)
    code = [cell.source for cell in restored.notebook.cells]
    assert code.index("helper = 3") == code.index("import torch") + 1 and code[-1] == "last = 1"
    assert restored.flags == ()


def test_order_is_the_courses(master, hand_in):
    restored = restore(read(hand_in(lambda notebook: notebook.cells.reverse())), master)
    kept = [cell["id"] for cell in restored.notebook.cells]
    assert kept == [cell["id"] for cell in master.released.cells]


def test_an_old_notebook_without_cell_ids_is_understood(master, hand_in):
    path = hand_in()
    content = json.loads(path.read_text())
    content["nbformat_minor"] = 2
    for cell in content["cells"]:
        del cell["id"]
    path.write_text(json.dumps(content).replace("\\n", "\\r\\n"))
    restored = restore(read(path), master)
    assert restored.flags == ()
    assert sources(restored, "tiny_double") == ["def tiny_double(x):\n    return 2 * x"]
