"""What cells worth nothing can show: numbers, objects, forged outputs, where a grade book may look for points."""

from __future__ import annotations

from collections.abc import Callable

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

from .attack import Attack, before

# The visible checks print what they found: whoever owns `print` decides what their cell shows.
SHOWN = {
    "checks that show a number": "def print(*a, **k): return 1.0",
    "checks that show more than all points": "def print(*a, **k): return 10**6",
    "checks that show a negative number": "def print(*a, **k): return -5.0",
    "checks that show no number": "def print(*a, **k): return float('nan')",
    "checks that show infinity": "def print(*a, **k): return float('inf')",
    "an object with HTML and an empty text": """
class Shown:
    def __repr__(self): return ''
    def _repr_html_(self): return '<b>2.0</b>'
def print(*a, **k): return Shown()""",
    "an object with a bundle of its own": """
class Shown:
    def _repr_mimebundle_(self, **k):
        return {'text/plain': ['2', '.0'], 'text/html': {'a': 1}, 'application/json': [2.0], 'x/y': None}, {'x/y': 3}
def print(*a, **k): return Shown()""",
    "an object that cannot be shown": """
class Shown:
    def __repr__(self): raise BaseException('no')
    _repr_html_ = _repr_png_ = __repr__
def print(*a, **k): return Shown()""",
    "a display hook after every cell": """
get_ipython().events.register('post_run_cell', lambda *a: get_ipython().displayhook(2.0))""",
    "a display hook of its own": """
import sys
class Hook:
    def __call__(self, value): get_ipython().outputs.add(output_type='execute_result', data={'text/plain': '2.0'},
        metadata={}, execution_count=1)
get_ipython().displayhook = sys.displayhook = Hook()""",
    "a formatter that knows one answer": """
get_ipython().display_formatter.format = lambda *a, **k: ({'text/plain': '2.0', 'text/html': '2.0'}, {})
def print(*a, **k): return object()""",
    "a formatter for numbers": """
get_ipython().display_formatter.formatters['text/plain'].for_type(int, lambda n, p, c: p.text('two points'))
def print(*a, **k): return 3""",
    "outputs of other kinds": """
shell = get_ipython()
def forged(*a):
    for kind in ('execute_result', 'display_data', 'update_display_data', 'pyout', None, 7):
        for data in ({'text/plain': '2.0'}, {'text/plain': None}, {'text/plain': {}}, {}, None, '2.0'):
            shell.outputs.items.append({'output_type': kind, 'data': data, 'metadata': None, 'execution_count': 'x'})
shell.events.register('post_run_cell', forged)""",
    "outputs that are no outputs": """
shell = get_ipython()
odd = [None, 1.0, [], {}, 'text', {'output_type': []}]
shell.events.register('post_run_cell', lambda *a: shell.outputs.items.extend(odd))""",
    "a count of cells that is no count": "get_ipython().execution_count = float('nan')",
    "a builtin that returns points": """
import builtins
builtins.print = lambda *a, **k: 2.0""",
    "a line on stderr in every cell": """
import sys
get_ipython().events.register('post_run_cell', lambda *a: sys.stderr.write('2.0'))""",
    "an error in every cell": """
def fail(*a): raise SystemError('2.0')
print = fail""",
    "a module that shows": """
import sys, types
class Shows(types.ModuleType):
    def __repr__(self): return '2.0'
sys.modules['torch'].__class__ = Shows
def print(*a, **k): return sys.modules['torch']""",
}


def _own(identity: str, source: str = "1 + 1") -> Callable[[NotebookNode], None]:
    def change(notebook: NotebookNode) -> None:
        made = new_code_cell(source)
        made["id"] = identity
        notebook.cells.insert(1, made)

    return change


CELLS = {
    "an id with a letter outside ASCII": _own("zelle-ä"),
    "an id of another script": _own("клетка"),
    "an id with a digit of another script": _own("cell-٣"),
    "an id with a line's end": _own("own\n"),
    "an id that is markup": _own("<b>x</b>"),
}

ATTACKS = [
    *before("showing", SHOWN),
    *[Attack(name, "showing", change=change) for name, change in CELLS.items()],
]
