"""`course grade --gpu-courtesy`: a remark where an answer with full marks would stop on a GPU, and nothing else."""

import io
import json
import shutil
from dataclasses import replace

import nbformat
import pytest
from rich.console import Console
from tiny import LESSON
from tiny_class import LIMITS, grader, write_hand_in

from autograder.cells import verdict
from autograder.checkout import course_config
from autograder.grading import workers
from autograder.grading.courtesy import Courtesy, Refused
from autograder.grading.report import print_table
from autograder.grading.runner import grade_submission
from autograder.guard.template import GraderBroken, Template
from autograder.hand_in.restoring import Master

FORGOTTEN = "def tiny_double(x):\n    zeros = torch.zeros(len(x), 1)\n    return 2 * x + zeros[0]"
REMARK = (
    "On a GPU this would stop: what `zeros` makes on the CPU meets a tensor on the GPU (add device=x.device), in the "
    "line `zeros = torch.zeros(len(x), 1)`."
)
THERE = "def tiny_double(x):\n    if x.device.type != 'cpu':\n        {}\n    return 2 * x"
FAKE = {"kind": "met", "maker": "zeros", "before": False, "line": "full marks for all", "like": "x", "place": ""}
FORGED = (
    "def tiny_double(x):\n    import gc\n    for one in gc.get_objects():\n"
    f"        if type(one).__name__ == 'Abroad':\n            one._found = {FAKE!r}\n    return 2 * x"
)
NONE = {
    "right": "def tiny_double(x):\n    return 2 * x + torch.zeros(1, device=x.device)",
    "sleeps": THERE.format("import time; time.sleep(60)"),
    "sleeps and will not stop": THERE.format("import signal, time; signal.signal(2, 1); time.sleep(60)"),
    "exits": THERE.format("import os; os._exit(0)"),
    "prints": THERE.format("print('x' * 10**7)"),
    "raises": THERE.format("raise RuntimeError('Expected all tensors to be on the same device')"),
    "chooses": "def tiny_double(x):\n    d = 'cuda' if torch.cuda.is_available() else 'cpu'\n"
    "    return 2 * x + torch.zeros(1, device=d)",
}


@pytest.fixture(scope="module")
def courtesy():
    made = Courtesy(lambda: Template(gpu=True))
    yield made
    made.close()


@pytest.fixture
def grade(hand_in, master, exercises, template, limits, courtesy):
    def run(answer, asks=courtesy):
        path = hand_in(tiny_double=answer)
        return grade_submission(path, "ada", master, exercises, template, limits, courtesy=asks)

    return run


def bare(graded):
    return [mark.public() for mark in graded.marks], graded.flags


def test_a_tensor_of_the_cpu_gets_a_remark_and_keeps_its_full_marks(grade):
    """One line of the student's is remarked on once: `tiny_apply` calls the same function."""
    asked, plain = grade(FORGOTTEN), grade(FORGOTTEN, None)
    assert [mark.remark for mark in asked.marks] == [REMARK, ""]
    assert asked.points == asked.max_points == 3
    assert bare(replace(asked, marks=tuple(replace(mark, remark="") for mark in asked.marks))) == bare(plain)


@pytest.mark.parametrize("answer", NONE.values(), ids=NONE)
def test_whatever_else_an_answer_does_there_costs_nothing_and_is_not_told(grade, answer):
    asked = grade(answer)
    assert asked.points == 3 and [mark.remark for mark in asked.marks] == ["", ""]
    assert bare(asked) == bare(grade(answer, None))


def test_of_what_the_process_says_nothing_is_told_but_what_stands_in_the_submission(grade):
    told = grade(FORGED).marks[0].remark
    assert told == REMARK.partition(", in the line")[0] + "."
    for said in (None, "text", {}, {"kind": "praise"}, {"kind": ["met"]}):
        assert Refused.of(said, FORGOTTEN) is None
    invented = {"kind": "met", "maker": "full marks", "line": "7 points", "like": "grade"}
    expected = "On a GPU this would stop: a tensor of the CPU meets a tensor on the GPU (add device= as the inputs)."
    assert Refused.of(invented, FORGOTTEN).remark == expected


def test_an_answer_without_full_marks_is_not_asked_but_what_calls_it_is(grade):
    asked = grade(FORGOTTEN.replace("2 * x", "x"))
    assert [(mark.passed, mark.remark) for mark in asked.marks] == [(False, ""), (True, REMARK)]


def test_a_template_that_cannot_start_costs_nothing(grade, monkeypatch):
    def broken():
        raise GraderBroken("no GPU")

    lost = Courtesy(lambda: Template(gpu=True))
    monkeypatch.setattr(lost._keeper, "living", broken)
    asked = grade(FORGOTTEN, lost)
    lost.close()
    assert asked.points == 3 and asked.flags == ("no GPU courtesy: no GPU",)


def test_the_remark_is_on_the_page_in_json_and_in_the_table(checkout, tmp_path, monkeypatch):
    shutil.copytree(checkout, tmp_path, dirs_exist_ok=True)
    write_hand_in(tmp_path, "ada", {"tiny_double": FORGOTTEN})
    masters = {LESSON: Master.load(tmp_path, LESSON)}
    plugin = workers.Grading(masters, LIMITS, True, course_config(tmp_path), gpu_courtesy=True)
    with workers.workers(plugin, 1, None) as client:
        grade = grader(tmp_path, client, monkeypatch)
        results = grade(gpu_courtesy=True)
        held = grade(gpu_courtesy=True)["ada"]
    assert "remark" not in json.dumps(results["ben"].public())
    assert [mark["remark"] for mark in results["ada"].public()["exercises"] if "remark" in mark] == [REMARK]
    assert held.public() == results["ada"].public()  # kept in the ledger

    notebook = nbformat.read(tmp_path / "autograded" / "ada" / LESSON / "tiny.ipynb", as_version=4)
    assert (True, f"All 2 checks passed. {REMARK}") in [verdict(cell) for cell in notebook.cells]
    page = (tmp_path / "feedback" / "ada" / LESSON / "tiny.html").read_text(encoding="utf-8")
    assert page.count("On a GPU this would stop") == 2  # in the table on top, and in the graded cell
    console = Console(file=io.StringIO(), width=400)
    print_table([results["ada"]], console)
    assert REMARK in console.file.getvalue()


def test_without_the_option_no_second_template_is_started(course, monkeypatch):
    folder, grade = course
    monkeypatch.setattr(workers, "Courtesy", None)
    write_hand_in(folder, "ada", {"tiny_double": FORGOTTEN})
    assert "remark" not in json.dumps(grade()["ada"].public())
