"""What counts as alike, and what does not."""

import random

from handwriting import disguised, own_words

from autograder.report.alike import answers_of, likeness, statements

GIVEN = [
    "import torch\ndef helper(x):\n    a = x.mean(0, keepdim=True)\n    b = x.var(0) + 1e-6\n"
    "    return (x - a) / b.sqrt()"
]
STUB = "def f(x):\n    raise NotImplementedError('f: write this function, then run the cell again')"
LONG = """
def f(x, t, table):
    now, before = table[t], table[t - 1]
    kept = (now / before).sqrt()
    noise = torch.sqrt(1 - now / before)
    mean = kept * x + noise.square() * x.mean(0)
    for k in range(len(x)):
        mean[k] = mean[k] - x[k].clamp(-1, 1) * noise[k]
    return mean / (1 + kept.abs().max())
"""


def pairs(*answers, others=30):
    """The listed pairs of a class in which these students are the first; the others wrote by themselves."""
    draw = random.Random(0)
    parts = [
        "y = x.exp() + x.sum(-1, keepdim=True)",
        "z = torch.where(x > 0, x, -x).log()",
        "w = x.cumsum(0)[1:] * 3.5",
    ]
    rest = [
        {"f": own_words("def f(x):\n" + "".join(f"    {p}\n" for p in draw.sample(parts, 3)) + "    return y", draw)}
        for _ in range(others)
    ]
    found = likeness([*answers, *rest], [*GIVEN, STUB]).pairs
    return {(pair.one, pair.other) for pair in found if pair.one < len(answers)}


def test_other_names_orders_and_comments_make_no_difference():
    for seed in range(5):
        assert pairs({"f": LONG}, {"f": disguised(LONG, random.Random(seed))}) == {(0, 1)}


def test_an_answer_of_ones_own_is_not_listed():
    own = (
        "def f(x, t, table):\n    a = table.gather(0, t)\n    c = a.div(table.roll(1)[t])\n"
        "    return torch.lerp(x, x.mean(0), c)"
    )
    assert pairs({"f": LONG}, {"f": own}) == set()


def test_given_cells_and_stubs_do_not_count():
    assert pairs({"f": STUB}, {"f": STUB}) == set()
    assert pairs({"elsewhere": GIVEN[0]}, {"elsewhere": GIVEN[0]}) == set()
    mine = LONG + GIVEN[0].partition("\n")[2]
    assert pairs({"f": mine}, {"f": GIVEN[0].partition("\n")[2]}) == set()


def test_answers_of_one_line_do_not_count():
    line = {
        f"f{k}": f"def f{k}(x):\n    return (x ** {k} + 3 * x - x.exp()).sum(-1).mean(0) / {k + 1}" for k in range(6)
    }
    assert pairs(line, dict(line)) == set()


def test_what_many_wrote_does_not_count():
    assert pairs(*[{"f": LONG}] * 12) == set()
    assert pairs(*[{"f": LONG}] * 3) == {(0, 1), (0, 2), (1, 2)}


def test_code_that_is_no_python_is_read_as_far_as_it_goes():
    broken = LONG.replace("for k in range(len(x)):", "for k in range(len(x):")
    assert len(statements(broken)) >= 5
    assert pairs({"f": broken}, {"f": broken.replace("kept", "held")}) == {(0, 1)}


def test_only_what_a_student_wrote_is_taken():
    def cell(source, **about):
        return {"cell_type": "code", "source": source, "metadata": {"nbgrader": about} if about else {}}

    answer = {"grade_id": "f", "solution": True, "locked": False}
    released = {"cells": [cell(GIVEN[0]), cell(STUB, **answer), cell("print(1)", grade_id="f-checks", locked=True)]}
    notebook = {
        "cells": [
            cell(GIVEN[0]),
            cell("x = 1"),
            cell(LONG, **answer),
            cell("print(2)", grade_id="f-checks", locked=True),
        ]
    }
    assert answers_of(notebook, released) == {"elsewhere": "x = 1", "f": LONG}
    assert answers_of(released, released) == {}


def test_fewer_than_two_are_nothing_to_compare():
    assert likeness([], GIVEN).pairs == likeness([{"f": LONG}], GIVEN).pairs == likeness([{}, {}], GIVEN).pairs == ()


def test_whatever_a_student_wrote_is_survived():
    odd = [
        "(" * 50_000,
        "x = 1\0",
        "x = '\ud800'\ny = 2",
        "\tx = 1\n  y",
        "if x:\n" * 400,
        "f'{",
        "\u202e = 3",
        "x = " + "-" * 20_000 + "1",
    ]
    assert pairs(*[{"f": source} for source in odd]) == set()
    assert answers_of(
        {"cells": [{"cell_type": "code", "source": ["a", "b"]}, {"cell_type": "raw"}]}, {"cells": []}
    ) == {"elsewhere": "ab"}
