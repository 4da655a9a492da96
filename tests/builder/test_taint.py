"""Which names a cell defines and needs, and which cells print something else on every run."""

import pytest

from autograder.builder.names import cell_names
from autograder.builder.source import Cell, parse
from autograder.builder.taint import TAG, uncertain_cells


@pytest.mark.parametrize(
    ("source", "bound", "needed"),
    [
        ("x = y", "x", "y"),
        ("x = 1\nprint(x)", "x", "print"),
        ("x = x + 1", "x", "x"),
        ("x += 1", "x", "x"),
        ("import a.b as c, d.e\nfrom f import g as h", "c d h", ""),
        ("for i in data:\n    total = i", "i total", "data"),
        ("with no_grad():\n    x = model(x)", "x", "no_grad model x"),
        ("try:\n    a = b\nexcept E as e:\n    c = e", "a c e", "b E"),
        ("match v:\n    case [p, *q]:\n        r = p\n    case {'k': s, **t}:\n        pass", "p q r s t", "v"),
        ("squares = [i * k for i in range(n) if i]", "squares", "k range n"),
        ("[last := i for i in n]", "last", "n"),
        ("def f(a, b=c):\n    d = a + e\n    return d", "f", "c e"),
        ("def f():\n    return g()\ndef g():\n    return 1", "f g", ""),
        ("def f():\n    global k\n    k = k + 1", "f", "k"),
        ("h = lambda u: u + w", "h", "w"),
        ("class A(B):\n    n = 1\n    m = n\n    def f(self):\n        return n", "A", "B n"),
        ("model.weight = z", "", "model z"),
        ("a, (b, *c) = d", "a b c", "d"),
    ],
)
def test_names_of_a_cell(source, bound, needed):
    names = cell_names(parse(source))
    assert names.bound == set(bound.split())
    assert names.needed == set(needed.split())


def uncertain(*sources: str) -> list[int]:
    return sorted(uncertain_cells([Cell("code", source, 1) for source in sources]))


IMPORTS = "import time\nimport torch\nfrom course_lib import budget, exact, fit as train, widgets"


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        (["x = 1", "print(x)"], []),
        (["print(budget(3))", "print(1)"], [1]),
        (["history = train(model, loss, x, steps=9)", "print(history)"], [1, 2]),
        (["start = time.perf_counter()", "print(time.perf_counter() - start)"], [1, 2]),
        (["widgets.explore(draw)"], [1]),
        (["from time import perf_counter as now\nprint(now())"], [1]),
        (["%%time\nx = 1", "print(x)"], [1, 2]),
        (["a = budget(3)", "b = a + 1", "c = b", "print(c)", "a = 1", "print(a)"], [1, 2, 3, 4]),
        (["model = VAE(3)", "train(model, loss, x)", "print(model(x))", "print(x)"], [2, 3]),
        (["def long():\n    return budget(3)", "print(long())", "print(2)"], [1, 2]),
        (["model = exact.LinearVAE.fit(x, 2)", "print(model)"], []),
        (["import course_lib", "course_lib.fit(model)"], [2]),
        (["def fit(x):\n    return x", "print(fit(1))"], []),
        (["time = torch.linspace(0, 1, 3)", "print(time)"], []),
    ],
)
def test_uncertain_cells(sources, expected):
    assert uncertain(IMPORTS, *sources) == expected


def test_prose_and_tags():
    cells = [Cell("markdown", "budget(3)", 1), Cell("code", "x = 1", 2, tags=(TAG,)), Cell("checks", "print(x)", 3)]
    assert uncertain_cells(cells) == {1, 2}
