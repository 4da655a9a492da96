"""Answers that do not run, each with the reason that its author is told."""

from __future__ import annotations

import sys
from typing import Any

from .hand_in import ALONE, DOUBLE, HandIn, own

# ---- cell-did-not-run


def _broken(name: str, double: str, says: str, **more: Any) -> HandIn:
    return HandIn("cell-did-not-run", name, double=double, apply=ALONE, points=1, says=says, **more)


DID_NOT_RUN = (
    _broken("a package", f"import einops_of_2031\n\n{DOUBLE}", "einops_of_2031"),
    _broken("a part of a package", f"import torch.einops_of_2031 as e\n\n{DOUBLE}", "torch.einops_of_2031"),
    _broken("a name that its module lacks", f"from torch import Tensorr\n\n{DOUBLE}", "Tensorr"),
    _broken("a module that was not handed in", f"from my_helpers import double\n\n{DOUBLE}", "my_helpers"),
    _broken("full-width brackets", "def tiny_double（x）:\n    return 2 * x", "line 1.*U\\+FF08"),
    _broken("a zero-width space", "def tiny_double(x):\n    \u200breturn 2 * x", "line 2.*U\\+200B"),
    _broken("a byte-order mark inside", "def tiny_double(x):\n    return 2 * \ufeffx", "line 2.*U\\+FEFF"),
    _broken("curly quotes", "def tiny_double(x):\n    return {‘a’: 2 * x}['a']", "line 2.*U\\+2018"),
    _broken("a typographic minus", "def tiny_double(x):\n    return x \u2212 (-x)", "line 2.*U\\+2212"),
    _broken("tabs and blanks", "def tiny_double(x):\n    y = x\n\treturn 2 * y", "tab"),
    _broken("a colon missing", "def tiny_double(x)\n    return 2 * x", "line 1.*expected ':'"),
    _broken("a bracket open", "def tiny_double(x):\n    return 2 * (x", "line 2.*never closed"),
    _broken("a body missing", "def tiny_double(x):", "line 1"),
    _broken("a name in a hint", "def tiny_double(x: Tensor) -> Tensor:\n    return 2 * x", "Tensor.*import"),
    _broken("a name in a default", "def tiny_double(x, k=np.array(2)):\n    return k * x", "line 1.*np"),
    _broken("a decorator", f"@jaxtyped(typechecker=None)\n{DOUBLE}", "jaxtyped"),
    _broken("an endless loop", f"while True:\n    pass\n{DOUBLE}", "did not end"),
    _broken("a long wait", f"import time\ntime.sleep(60)\n{DOUBLE}", "did not end.*sleep"),
    _broken("a test above it", f"assert tiny_double(torch.ones(1)) == 2\n{DOUBLE}", "line 1"),
    _broken("exit", f"import sys\nsys.exit(0)\n{DOUBLE}", "exit"),
    _broken("the end of the process", f"import os\nos._exit(0)\n{DOUBLE}", "ended"),
    _broken("another spelling", "def tiny_Double(x):\n    return 2 * x", "tiny_Double"),
    _broken("a merge conflict", f"<<<<<<< HEAD\n{DOUBLE}\n=======\n>>>>>>> mine", "line 1"),
    HandIn(
        "cell-did-not-run",
        "match",
        double="def tiny_double(x):\n    match 2:\n        case k:\n            return k * x",
        flagged="",
    ),
    _broken(
        "a helper that did not run",
        "def tiny_double(x):\n    return spread(x)",
        "spread.*einops_of_2031",
        change=own("def other():\n    pass\nassert einops_of_2031\ndef spread(x):\n    return 2 * x"),
    ),
)
# What newer Pythons read: since when, and how it looks.
SINCE = {
    "nested quotes": ((3, 12), f"table = {{'x': 1}}\nprint(f'{{table['x']}} row')\n{DOUBLE}"),
    "type parameters": ((3, 12), "def tiny_double[T](x: T) -> T:\n    return 2 * x"),
    "a type statement": ((3, 12), f"type Values = list[float]\n{DOUBLE}"),
    "a default of a type parameter": ((3, 13), "def tiny_double[T = int](x: T) -> T:\n    return 2 * x"),
    "except without brackets": ((3, 14), f"try:\n    pass\nexcept ValueError, TypeError:\n    pass\n{DOUBLE}"),
    "a t-string": ((3, 14), f"name = 'x'\nt'{{name}}'\n{DOUBLE}"),
}


def _newer(name: str, since: tuple[int, int], code: str) -> HandIn:
    """Full marks where the grader's Python reads it, the reason where it does not."""
    if sys.version_info >= since:
        return HandIn("cell-did-not-run", name, double=code, apply=ALONE)
    return _broken(name, code, f"Python {since[0]}.{since[1]} and later")


NEWER = tuple(_newer(name, *how) for name, how in SINCE.items())
