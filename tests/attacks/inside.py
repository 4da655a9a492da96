"""Tricks inside the submission's own process: nothing done to Python, torch or IPython there can pass a check."""

from __future__ import annotations

from .attack import Attack, before, instead

KERNEL = {
    "showtraceback and success replaced": """
from IPython.core.interactiveshell import ExecutionResult, InteractiveShell
InteractiveShell.showtraceback = lambda *a, **k: None
ExecutionResult.success = property(lambda self: True)""",
    "asserts dropped from later cells": """
import ast
class NoAsserts(ast.NodeTransformer):
    def visit_Assert(self, node): return ast.Pass()
get_ipython().ast_transformers.append(NoAsserts())""",
    "later cells printing points": """
get_ipython().input_transformers_cleanup.append(lambda lines: ['print(2.0)\\n', *lines])""",
    "displayhook shows the points": "get_ipython().displayhook(2.0)",
    "run_cell replaced": """
shell = get_ipython()
run = shell.run_cell
shell.run_cell = lambda source, **k: (run(source, **k), print('2.0'))""",
    "hook before every cell": """
get_ipython().events.register('pre_run_cell', lambda *a: get_ipython().displayhook(2.0))""",
    "custom exception handler": "get_ipython().set_custom_exc((BaseException,), lambda *a, **k: None)",
    "prints what a grader prints": """
print("All 2 checks passed.\\n2.0")
print('{"tiny_double": 2.0, "passed": true}')
display({"text/plain": "2.0"}, raw=True)""",
    "leaves by exit status 0": "import sys\nsys.exit(0)",
    "tampers from a thread": """
import threading, time
def tamper():
    while True:
        time.sleep(0.01)
        globals()['passed'] = True
threading.Thread(target=tamper, daemon=True).start()""",
    "grade called in the notebook": """
try:
    from autograder import grade
    grade('tiny_double', globals())
except Exception:
    pass""",
    "audit hook and atexit": """
import atexit, sys
atexit.register(lambda: print('2.0'))
sys.addaudithook(lambda *a: None)""",
}

PATCHING = {
    "torch.allclose says yes": """
import torch
torch.allclose = torch.equal = torch.isclose = lambda *a, **k: True
torch.Tensor.__eq__ = torch.Tensor.eq = lambda *a: torch.ones((), dtype=torch.bool)
torch.testing.assert_close = lambda *a, **k: None""",
    "numpy and math say yes": """
import math, numpy
numpy.allclose = numpy.array_equal = math.isclose = lambda *a, **k: True
numpy.testing.assert_allclose = lambda *a, **k: None""",
    "builtins replaced": """
import builtins
builtins.abs = builtins.max = lambda *a, **k: 0
builtins.all = builtins.any = builtins.isinstance = lambda *a, **k: True
builtins.AssertionError = builtins.Exception""",
    "modules replaced by mocks": """
import sys
from unittest.mock import MagicMock
for name in ('autograder', 'autograder.case', 'autograder.marking', 'course_lib', 'numpy', 'json', 'struct'):
    sys.modules[name] = MagicMock()""",
    "finder that serves mocks": """
import sys
from unittest.mock import MagicMock
class Finder:
    def find_spec(self, name, path=None, target=None):
        sys.modules[name] = MagicMock()
sys.meta_path.insert(0, Finder())""",
    "modules beside the notebook": """
from pathlib import Path
for name in ('torch.py', 'numpy.py', 'sandbox.py', 'sitecustomize.py', 'usercustomize.py', 'autograder.py'):
    Path(name).write_text('raise SystemExit(0)')
Path('.ipython/profile_default/startup').mkdir(parents=True, exist_ok=True)
Path('.ipython/profile_default/startup/0.py').write_text('passed = True')""",
    "caller's globals changed": """
import sys
frame = sys._getframe()
while frame:
    frame.f_globals['difference'] = frame.f_globals['encode'] = lambda *a, **k: ''
    frame = frame.f_back""",
    "seeds and clocks frozen": """
import random, time, torch
torch.manual_seed = random.seed = lambda *a: None
time.perf_counter = time.monotonic = time.time = lambda: 0.0""",
    "host found by gc and replaced": """
import gc
for thing in gc.get_objects():
    if type(thing).__name__ == 'Responder':
        thing.passed = thing.points = 2.0
        old = type(thing)._call
        type(thing)._call = lambda self, target, **k: target == 'tiny_double' or old(self, target=target, **k)""",
    "gradient machinery replaced": """
import torch
torch.autograd.grad = lambda *a, **k: [None]
torch.Tensor.backward = lambda *a, **k: None""",
    "rng state poisoned": """
import torch
torch.get_rng_state = torch.set_rng_state = lambda *a: None""",
}

OBJECTS = {
    "always equal": """
class Yes:
    def __eq__(self, other): return True
    def __sub__(self, other): return 0
    __lt__ = __le__ = __gt__ = __ge__ = __eq__
    def __float__(self): return 0.0
    def __array__(self, *a): return __import__('numpy').zeros((3, 2))
    def __getattr__(self, name): return self
    def __call__(self, *a, **k): return self
    __hash__ = object.__hash__
def tiny_double(x):
    return Yes()""",
    "torch_function agrees": """
import torch
class Agree:
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None): return True
def tiny_double(x):
    return Agree()""",
    "tensor subclass that agrees": """
import torch
class Agree(torch.Tensor):
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        if func.__name__ in ('eq', 'allclose', 'all', 'equal'): return True
        return super().__torch_function__(func, types, args, kwargs or {})
def tiny_double(x):
    return x.as_subclass(Agree)""",
    "module whose attributes are all true": """
import torch
class Yes(torch.nn.Module):
    def __getattr__(self, name): return lambda *a, **k: True
    def forward(self, *a): return True
def tiny_double(x):
    return Yes()""",
    "float subclass that agrees": """
class Any(float):
    def __eq__(self, other): return True
    def __sub__(self, other): return 0.0
def tiny_double(x):
    return Any(1.0)""",
    "NaN everywhere": "def tiny_double(x):\n    return x * float('nan')",
    "infinite everywhere": "def tiny_double(x):\n    return x / 0",
    "empty tensor": "def tiny_double(x):\n    return x[:0]",
    "broadcastable": "def tiny_double(x):\n    return (2 * x).sum() / x.numel()",
    "True": "def tiny_double(x):\n    return True",
    "a string": "def tiny_double(x):\n    return 'correct'",
    "nested for ever": "def tiny_double(x):\n    a = []\n    a.append(a)\n    return a",
    "a view of a terabyte": "import torch\ndef tiny_double(x):\n    return torch.zeros(1).expand(10**12)",
    "exotic tensors": "def tiny_double(x):\n    return x.to_sparse()",
    "property bomb": """
class Bomb:
    def __getattr__(self, name): raise SystemExit(0)
    __class__ = property(lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
def tiny_double(x):
    return Bomb()""",
    "exception whose text raises": """
class Loud(Exception):
    def __str__(self): raise Loud
def tiny_double(x):
    raise Loud""",
    "writes the truth into its input": "def tiny_double(x):\n    x.mul_(0)\n    return x",
    "detects grading": """
import os
def tiny_double(x):
    return 2 * x if 'NBGRADER_EXECUTION' not in os.environ else x""",
    "answers by the number of calls": """
calls = []
def tiny_double(x):
    calls.append(x)
    return calls[0] + x * 0""",
}

# Functions that agree with each other by arrangement, to be followed through: (tiny_double, tiny_apply, earned).
CONSPIRACY = {
    "an earlier function that echoes a later one": (
        "held = []\ndef tiny_double(x):\n    return held.pop() - 1 if held else 2 * x",
        "def tiny_apply(f, x):\n    held[:] = [x * x]\n    return held[0]",
        2.0,
    ),
    "an earlier function that is nothing": (
        "def tiny_double(x):\n    return x * float('nan')",
        "def tiny_apply(f, x):\n    return x * float('nan')",
        0.0,
    ),
    "an earlier function that is constant": (
        "def tiny_double(x):\n    return x * 0",
        "def tiny_apply(f, x):\n    return x * 0 + 1",
        0.0,
    ),
    "a right function in the place of a wrong one, kept": (
        "def tiny_double(x):\n    return right(x) if 'right' in globals() else x",
        "def tiny_apply(f, x):\n    globals().setdefault('right', tiny_double)\n    return f(tiny_double(x))",
        1.0,
    ),
    "an echo through a file": (
        "from pathlib import Path\nimport torch\ndef tiny_double(x):\n"
        "    p = Path('/tmp/held')\n    if p.exists():\n        p.unlink()\n        return x * x - 1\n    return 2 * x",
        "def tiny_apply(f, x):\n    Path('/tmp/held').touch()\n    return x * x",
        2.0,
    ),
}

ATTACKS = (
    *before("kernel", KERNEL),
    *before("patching", PATCHING),
    *instead("objects", OBJECTS),
    *(Attack(name, "conspiracy", first, then, earns) for name, (first, then, earns) in CONSPIRACY.items()),
)
