"""Are trees copied whole, and is a notebook that is written here what nbformat reads and would have written?"""

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from autograder.nodes import copied, new_output, written


def notebook():
    outputs = [
        new_output("stream", name="stdout", text="one\ntwo\n"),
        new_output("display_data", data={"image/png": "aGk=", "text/plain": "π"}, metadata={"image/png": {"alt": "a"}}),
        new_output("execute_result", data={"text/plain": "2.0"}, metadata={}, execution_count=None),
        new_output("error", ename="ValueError", evalue="no", traceback=["a", "b"]),
    ]
    cells = [new_code_cell("x = 'ä'\ny = 2", outputs=outputs), new_markdown_cell("# $x$", metadata={"trusted": True})]
    return new_notebook(cells=cells, metadata={"course": {"digest": "abc"}, "signature": "s"})


def test_what_is_written_is_valid_and_what_nbformat_writes():
    made = notebook()
    nbformat.validate(made)
    read = nbformat.reads(written(made), as_version=4)
    nbformat.validate(read)
    assert read == nbformat.reads(nbformat.v4.writes(made), as_version=4)
    assert "trusted" not in written(made) and "signature" not in written(made)


def test_a_copy_is_equal_and_shares_nothing_that_changes():
    made = notebook()
    before, other = written(made), copied(made)
    assert other == made and type(other) is NotebookNode and type(other.cells[0].metadata) is NotebookNode
    other.cells[0].outputs[1].data["text/plain"] = "3"
    other.cells.append(other.cells[0])
    other.metadata.course.digest = "d"
    assert written(made) == before != written(other)
