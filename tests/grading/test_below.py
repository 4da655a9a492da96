"""Does an answer keep what it earns, whatever stands below it, and is nothing of the checks told for that?"""

import json

import pytest
from nbformat.v4 import new_code_cell

from autograder.case import Case
from autograder.exercise import find_exercise
from autograder.grading.below import Around, effects
from autograder.grading.run import Run
from autograder.grading.runner import grade_submission
from autograder.seeds import Seeds

HELPED = {
    "tiny_double": "import math\n\ndef scaled(x, factor):\n    return factor * x\n\ndef tiny_double(x):\n    "
    "assert math.sqrt(4) == 2 and len([0]) == 1\n    return scaled(x, 2)",
    "tiny_apply": "def tiny_apply(f, x):\n    return f(tiny_double(x))",
}

COSTS = {
    "the answer defined anew": "def tiny_double(x):\n    return 0.9 * x\n\ntiny_double(1)",
    "its helper defined anew": "def scaled(shape):\n    return shape",
    "names reused": "math = 1\nT = 3",
    "a module's name reused": "import json as math",
    "a builtin's name reused": "len = 3",
    "deleted": "del scaled",
    "a loop variable": "for scaled in range(3):\n    pass",
    "in a with statement": "from contextlib import nullcontext\nwith nullcontext() as scaled:\n    pass",
    "by the walrus": "[tiny_double := 3]",
    "all names cleared": "globals().clear()",
    "by a magic": "%reset -f",
    "in exec": "exec('tiny_double = None')",
    "a module patched": "math.sqrt = lambda x: 0",
    "torch patched": "torch.Tensor.__mul__ = torch.Tensor.__rmul__ = lambda self, other: self",
    "a helper's code exchanged": "scaled.__code__ = (lambda x, factor: x).__code__",
    "the end of the process": "import os\nos._exit(1)",
    "several ends of the process": ["import os\nos._exit(1)"] * 8,
    "an exit at the first call": "import os\ndef scaled(x, factor):\n    os._exit(1)",
    "an endless function": "def scaled(x, factor):\n    while True:\n        pass",
    "recursion": "def tiny_double(x):\n    return tiny_double(x)",
    "cells without end": ["import time\ntime.sleep(60)"] * 4,
    "a class of that name": "class tiny_double:\n    pass",
}
SETTINGS = {
    "gradients off": "torch.set_grad_enabled(False)",
    "no_grad entered": "torch.no_grad().__enter__()",
    "inference mode": "torch.inference_mode().__enter__()",
    "default dtype": "torch.set_default_dtype(torch.float64)",
    "default device": "torch.set_default_device('meta')",
    "device entered": "torch.device('meta').__enter__()",
    "autocast": "torch.autocast('cpu').__enter__()",
    "determinism": "torch.use_deterministic_algorithms(True)",
    "anomalies": "torch.autograd.set_detect_anomaly(True)",
    "NumPy's errors": "import numpy\nnumpy.seterr(all='raise')",
    "warnings": "import warnings\nwarnings.simplefilter('error')",
    "threads": "torch.set_num_threads(3)",
}
# Right, and only where the course's settings hold.
TENDER = """
import warnings
import numpy
def tiny_double(x):
    one = torch.ones(1, requires_grad=True)
    assert (2 * one).requires_grad and one.dtype == torch.float32 and one.device.type == 'cpu'
    assert not one.is_inference() and (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
    assert not torch.are_deterministic_algorithms_enabled() and not torch.is_anomaly_enabled()
    assert torch.get_num_threads() == 1
    warnings.warn('so')
    numpy.float64(1) / numpy.zeros(1)
    return 2 * x"""


@pytest.fixture
def grade(hand_in, master, exercises, template, limits):
    def graded(*codes, place=None, **answers):
        def change(notebook):
            for number, code in enumerate(codes):
                cell = new_code_cell(code)
                notebook.cells.insert(len(notebook.cells) if place is None else place + number, cell)

        return grade_submission(hand_in(change, **answers), "ada", master, exercises, template, limits)

    return graded


def points(graded):
    return [item.points for item in graded.marks]


@pytest.mark.parametrize("code", COSTS.values(), ids=COSTS.keys())
def test_what_stands_below_costs_nothing(grade, code):
    graded = grade(*([code] if isinstance(code, str) else code), **HELPED)
    assert graded.status == "graded" and points(graded) == [2, 1], (graded.flags, graded.marks)
    assert graded.flags, "the instructor is told"


@pytest.mark.parametrize("place", [2, None], ids=["above", "below"])
@pytest.mark.parametrize("code", SETTINGS.values(), ids=SETTINGS.keys())
def test_settings_are_put_back_for_the_checks(grade, code, place):
    graded = grade(code, place=place, tiny_double=TENDER)
    assert points(graded) == [2, 1], graded.marks


def test_a_given_cell_runs_with_the_courses_settings_and_an_own_one_with_its_own(
    hand_in, master, exercises, template, limits
):
    """The visible checks are given."""
    told = "print(torch.get_default_dtype())"
    checks = next(cell for cell in master.released.cells if cell["id"] == "tiny_double-checks")
    checks.source = master.full["tiny_double-checks"] = told

    def change(notebook):
        notebook.cells.insert(2, new_code_cell("torch.set_default_dtype(torch.float64)"))
        notebook.cells.append(new_code_cell(told))

    graded = grade_submission(hand_in(change), "ada", master, exercises, template, limits)
    said = [c.outputs[0].text for c in graded.notebook.cells if c.source == told]
    assert said == ["torch.float32\n", "torch.float64\n"]


def test_what_a_given_cell_sets_stays_set(hand_in, master, exercises, template, limits):
    for cell in master.released.cells:
        if cell["id"] == "imports":
            cell.source = "import warnings\nimport torch\nwarnings.filterwarnings('ignore')"
    answer = "def tiny_double(x):\n    assert warnings.filters[0][0] == 'ignore'\n    return 2 * x"
    graded = grade_submission(hand_in(tiny_double=answer), "ada", master, exercises, template, limits)
    assert points(graded) == [2, 1], graded.marks


LATER = {
    "a helper": ("def tiny_double(x):\n    return later(x)", "def later(x):\n    return x + x"),
    "the answer": ("def tiny_double(x):\n    return x", "def tiny_double(x):\n    return x + x"),
}


@pytest.mark.parametrize(("answer", "below"), LATER.values(), ids=LATER.keys())
def test_what_is_below_may_help_and_is_flagged(grade, answer, below):
    graded = grade(below, tiny_double=answer)
    assert points(graded) == [2, 1]
    assert any("below the graded cell" in flag for flag in graded.flags)


@pytest.mark.parametrize("lost", [False, True])
def test_nothing_runs_twice_where_nothing_below_could_matter(grade, monkeypatch, lost):
    made = []
    real = Run.fresh
    monkeypatch.setattr(Run, "fresh", lambda run: made.append(run) or real(run))
    wrong = {"tiny_double": "def tiny_double(x):\n    return 3 * x"} if lost else {}
    graded = grade("def something_else(y):\n    return y\n\nprint('done')", "'text'", **wrong)
    assert points(graded)[0] == (0 if lost else 2)
    assert len(made) <= 2  # one for the cells, one to confirm what was followed


def test_no_cell_that_can_still_print_knows_an_input(grade):
    """The answer keeps what it is asked, wherever it can; cells below print all of it, and cost the answer points."""
    drawn = Case(Seeds.of(find_exercise("tiny_double"), "ada", "").draws).normal(3, 2)
    heard = {f"{float(value):.5f}" for value in drawn.flatten()}
    graded = grade(
        "from pathlib import Path\nprint(kept, [p.read_text() for p in Path('/tmp').glob('*/kept*')])",
        "scaled = None",
        "print(kept, [p.read_text() for p in Path('/tmp').glob('*/kept*')])",
        tiny_double="kept = []\ndef scaled(x):\n    return 2 * x\n\ndef tiny_double(x):\n"
        "    kept.extend(f'{float(v):.5f}' for v in x.flatten())\n    open('kept', 'a').write(str(kept))\n"
        "    return scaled(x)",
    )
    assert points(graded) == [2, 1], graded.flags
    told = json.dumps([cell.get("outputs", []) for cell in graded.notebook.cells])
    assert told.count("[] []") == 2 and not any(value in told for value in heard)


EFFECTS = {
    "def f(x, *, k=d):\n    y = 1\n    return g(x) + y": ({"f"}, {"d", "g"}, False),
    "class A(B):\n    z = 1\n    def f(self):\n        self.a = 1": ({"A"}, {"B"}, False),
    "import math as m, os.path": ({"m", "os"}, set(), False),
    "from m import *": ({"*"}, set(), True),
    "x[0] = 1": (set(), {"x"}, True),
    "x.y = 1": (set(), {"x"}, True),
    "x += 1": ({"x"}, set(), True),
    "print(len('a'))": (set(), {"print", "len"}, False),
    "%matplotlib inline": (set(), set(), True),
    "a = !ls": ({"a"}, set(), True),
    "'what?'\nx = 'is it?'": ({"x"}, set(), False),
    "def f(:": (set(), set(), False),
    "await f()": (set(), {"f"}, True),
    "@g\ndef f():\n    pass": ({"f"}, {"g"}, True),
    "try:\n    pass\nexcept E as e:\n    pass": ({"e"}, {"E"}, False),
    "(" * 5000: (set(), set(), False),
    "x = 1\n" * 50_000: (set(), set(), True),
}


@pytest.mark.parametrize("source", EFFECTS, ids=[repr(source[:30]) for source in EFFECTS])
def test_what_a_cells_text_tells(source):
    found = effects(source)
    assert (found.binds, found.uses, found.acts) == EFFECTS[source]


SHOWN = """
import torch
from torch import nn

SIZE = 3
my_guess = -0.5
class Net(nn.Module):
    "Three layers."
    width: int = SIZE
    def __init__(self, d, act=nn.SiLU):
        super().__init__()
        self.layer, sizes = nn.Linear(d, self.width), [0] * 3
        sizes[0] += d
    def half(self):
        return self.width // 2
def step(net, x, rate=0.1, *, sign=-1.0):
    out = x.clone()
    out[0] *= rate
    net.layer.weight.grad = None
    return torch.stack([sign * row for row in out])
"""
DOUBTFUL = [
    "kept = []",
    "kept = dict(a=1)",
    "f = step",  # an alias is fine by itself
    "def f(x, kept=[]):\n    return x",
    "def f(x):\n    f.calls = 1\n    return x",
    "def f(x):\n    kept[0] = x\n    return x",
    "def f(x):\n    global n\n    n = x\n    return n",
    "def f(x):\n    return globals()['g'](x)",
    "def f(x):\n    x.__class__.seen = 1\n    return x",
    "def f(x):\n    torch.save(x, 'kept')\n    return x",
    "def f(x):\n    import sys\n    return x",
    "from functools import lru_cache",
    "@torch.no_grad()\ndef f(x):\n    return x",
    "class A:\n    kept = []",
    "class A:\n    for i in range(3):\n        pass",
    "class A:\n    @property\n    def f(self):\n        return 1",
    "class A:\n    def f(self):\n        type(self).n = 1",
    "%matplotlib inline",
    "print(1)",
    "def f(:",
]


@pytest.mark.parametrize("source", [SHOWN, *DOUBTFUL])
def test_functions_without_a_state_are_known_by_their_text(source):
    assert effects(source).stateless == (source in (SHOWN, "f = step"))


GIVEN = {
    "nobody's name": ("", "def f(x):\n    return x", "fig = h(1)", False),
    "its own name": ("", "def f(x):\n    return x", "f = None", True),
    "a name that it looks up": ("k = 2", "def f(x):\n    return k * x", "k = 3", True),
    "a name that its helper looks up": (
        "k = 2\ndef g(x):\n    return k * x",
        "def f(x):\n    return g(x)",
        "k = 3",
        True,
    ),
    "a local name of its": ("k = 2", "def f(x):\n    k = 3\n    return k * x", "k = 3", False),
    "something that may change": ("n = [2]\nfig = 1", "def f(x):\n    return n[0] * x", "fig = n.append(1)", True),
    "a state of its own": ("fig = 1", "kept = []\ndef f(x):\n    kept.append(x)\n    return x", "fig = f(1)", True),
}


@pytest.mark.parametrize("above, own, below, costs", GIVEN.values(), ids=GIVEN.keys())
def test_a_given_cell_below_costs_something_where_it_can_change_an_answer(above, own, below, costs):
    given, written = effects(above), effects(own)
    assert Around([given, written], [written], [], [effects(below)]).costly() is costs
