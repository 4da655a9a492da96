"""Honest submissions of the made-up lesson that look odd: every one is right, and gets full marks."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell

DOUBLE = "def tiny_double(x):\n    return 2 * x\n"
APPLY = "def tiny_apply(f, x):\n    return f(tiny_double(x))\n"


@dataclass(frozen=True)
class Honest:
    """One hand-in; `change` edits the notebook, `file` the bytes of its file."""

    name: str
    raises: bool = False  # one of the student's own cells, and no other
    double: str = DOUBLE
    apply: str = APPLY
    change: Callable[[NotebookNode], None] = field(default=lambda notebook: None)
    file: Callable[[bytes], bytes] = field(default=lambda content: content)


def _beside(code: str) -> Callable[[NotebookNode], None]:
    """A cell of the student's own before the answers."""
    return lambda notebook: notebook.cells.insert(2, new_code_cell(code))


# ---- beside right answers

RAISES = {
    "a cell that raises",
    "a syntax error",
    "a module that is missing",
    "a data frame, if there is pandas",
    "exit()",
    "quit and sys.exit",
    "an interactive figure",  # unless ipympl is there
    "an interrupted loop",
}

BESIDE = {
    "stderr": "import sys\nprint('careful', file=sys.stderr)",
    "warnings": "import warnings\nwarnings.warn('deprecated')",
    "logging": "import logging\nlogging.basicConfig(level='DEBUG')\nlogging.error('so')",
    "many prints": "for n in range(2000):\n    print(n, end=' ')",
    "a cell that raises": "1 / 0",
    "a syntax error": "def f(:\n    pass",
    "a module that is missing": "import pandas_of_the_future",
    "a data frame, if there is pandas": "import pandas\ndisplay(pandas.DataFrame({'a': [1]}))",
    "exit()": "exit()",
    "quit and sys.exit": "import sys\nsys.exit(1)",
    "top-level await": "import asyncio\nawait asyncio.sleep(0.001)",
    "asyncio.run": "import asyncio\nasync def f():\n    return 1\ntask = asyncio.get_event_loop_policy()",
    "a figure": "%matplotlib inline\nimport matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()",
    "an interactive figure": "%matplotlib widget\nimport matplotlib.pyplot as plt\nplt.plot([1, 2])",
    "%time and %timeit": "%time sum(range(10))\n%timeit -n 1 -r 1 sum(range(10))",
    "%%time": "%%time\ny = sum(range(10))",
    "%load_ext autoreload": "%load_ext autoreload\n%autoreload 2",
    "%config": "%config InlineBackend.figure_format = 'retina'",
    "!ls": "!ls\nfiles = !ls /\nlen(files)",
    "%%bash": "%%bash\necho hello",
    "%pip": "%pip --version",
    "%%writefile and import": "%%writefile helper_module.py\nvalue = 3",
    "%who and %history": "%who\n%lsmagic",
    "help": "help(len)\nlen?",
    "widgets": "from ipywidgets import interact\ninteract(lambda n: n, n=(0, 3))",
    "a widget of its own": "import ipywidgets\nout = ipywidgets.Output()\nwith out:\n    print(1)\nout",
    "a progress bar": "from tqdm.auto import tqdm\nfor _ in tqdm(range(3)):\n    pass",
    "a notebook progress bar": "from tqdm.notebook import trange\nfor _ in trange(3):\n    pass",
    "threads": "import threading\nt = threading.Thread(target=print, args=(1,))\nt.start()\nt.join()",
    "a pool of threads": "from concurrent.futures import ThreadPoolExecutor\nlist(ThreadPoolExecutor(4).map(abs, [1]))",
    "a subprocess": """
import subprocess
assert subprocess.run(['echo', 'hi'], capture_output=True).stdout == b'hi\\n'""",
    "os.system": "import os\nassert os.system('true') == 0",
    "a data loader": """
import torch
data = torch.utils.data.TensorDataset(torch.ones(4, 1))
assert len(list(torch.utils.data.DataLoader(data, batch_size=2, num_workers=0))) == 2""",
    "training": """
import torch
net = torch.nn.Linear(4, 4)
optimizer = torch.optim.Adam(net.parameters())
for _ in range(3):
    optimizer.zero_grad()
    net(torch.randn(8, 4)).square().sum().backward()
    optimizer.step()""",
    "two threads for torch": """
import torch
torch.set_num_threads(2)
(torch.ones(300, 300) @ torch.ones(300, 300)).sum()""",
    "a seed": "import torch, random, numpy\ntorch.manual_seed(1)\nrandom.seed(1)\nnumpy.random.seed(1)",
    "gradients off": "import torch\ntorch.set_grad_enabled(False)",
    "another default dtype": "import torch\ntorch.set_default_dtype(torch.float64)",
    "files of its own": "from pathlib import Path\nPath('notes.txt').write_text('x')\nopen('notes.txt').read()",
    "a temporary file": "import tempfile\nwith tempfile.NamedTemporaryFile() as file:\n    file.write(b'x')",
    "who it is": "import getpass, os, platform\nprint(getpass.getuser(), os.cpu_count(), platform.platform())",
    "slow but legal": "import time\ntime.sleep(0.3)",
    "a big tensor": "import torch\nbig = torch.zeros(5000, 5000)",
    "names of the grader's": "check = mark = grade = case = student = exercise = truth = 1",
    "an input's answer": "name = 'ada'  # input('name?')",
    "the clock": "import time\nstart = time.perf_counter()",
    "a name of a builtin": "list = [1]\nid = 3\nsum = 0",
    "a deep recursion": "import sys\nsys.setrecursionlimit(5000)\ndef f(n): return n and f(n - 1)\nf(2000)",
    "an interrupted loop": "import time\nfor _ in range(3):\n    time.sleep(0.01)\nraise KeyboardInterrupt",
    "rich output": "from IPython.display import HTML, Markdown, Math, clear_output\nclear_output()\nMath('x^2')",
    "only a comment": "# nothing here",
    "nothing": "",
}

# ---- other right answers

DOUBLES = {
    "lambda": "tiny_double = lambda x: x + x",
    "functools.partial": "import functools, operator\ntiny_double = functools.partial(operator.mul, 2)",
    "a class with __call__": "class Double:\n    def __call__(self, x):\n        return 2 * x\ntiny_double = Double()",
    "a bound method": "class A:\n    def double(self, x):\n        return 2 * x\ntiny_double = A().double",
    "an nn.Module": """
import torch
class Double(torch.nn.Module):
    def forward(self, x):
        return 2 * x
tiny_double = Double()""",
    "nested functions": "def outer():\n    def f(x):\n        return 2 * x\n    return f\ntiny_double = outer()",
    "type hints": "from __future__ import annotations\ndef tiny_double(x: Tensor) -> Tensor:\n    return 2 * x",
    "dataclass helper": """
from dataclasses import dataclass
@dataclass
class Factor:
    value: float = 2.0
def tiny_double(x):
    return Factor().value * x""",
    "decorated": """
import functools
def noisy(f):
    @functools.wraps(f)
    def g(*args):
        print('called')
        return f(*args)
    return g
@noisy
def tiny_double(x):
    return 2 * x""",
    "cached": "import functools\n@functools.cache\ndef tiny_double(x):\n    return 2 * x",
    "numpy on the way": "import torch\ndef tiny_double(x):\n    return torch.from_numpy(x.numpy() * 2)",
    "lists on the way": "import torch\ndef tiny_double(x):\n    return torch.tensor((2 * x).tolist(), dtype=x.dtype)",
    "requires_grad": "def tiny_double(x):\n    return (2 * x).requires_grad_()",
    "a parameter": "import torch\ndef tiny_double(x):\n    return torch.nn.Parameter(2 * x)",
    "not contiguous": "import torch\ndef tiny_double(x):\n    return torch.stack([2 * x, x], -1)[..., 0]",
    "transposed layout": "def tiny_double(x):\n    return (2 * x).T.contiguous().T if x.ndim == 2 else 2 * x",
    "a negated view": "def tiny_double(x):\n    return -(-2 * x)",
    "in place on a clone": "def tiny_double(x):\n    y = x.clone()\n    y *= 2\n    return y",
    "no_grad": "import torch\n@torch.no_grad()\ndef tiny_double(x):\n    return 2 * x",
    "inference_mode": "import torch\n@torch.inference_mode()\ndef tiny_double(x):\n    return 2 * x",
    "a tensor subclass": """
import torch
class T(torch.Tensor):
    pass
def tiny_double(x):
    return (2 * x).as_subclass(T)""",
    "global state": "factor = 2\ndef tiny_double(x):\n    global factor\n    factor = 2\n    return factor * x",
    "einsum": """
import torch
def tiny_double(x):
    return torch.einsum('...,->...', x, torch.tensor(2.0, dtype=x.dtype))""",
    "two columns": "import torch\ndef tiny_double(x):\n    return torch.stack([x, x]).sum(0)",
    "default and keyword arguments": "def tiny_double(x, *, factor=2, **unused):\n    return factor * x",
    "prints and warns": """
import sys, warnings
def tiny_double(x):
    print(x, file=sys.stderr)
    warnings.warn('called')
    return 2 * x""",
    "draws random numbers": "import torch\ndef tiny_double(x):\n    torch.randn(3)\n    return 2 * x",
    "names in Greek": "def δ(ξ):\n    return ξ + ξ\ntiny_double = δ",
    "tabs and semicolons": "def tiny_double(x):\n\ty = x + x; return y",
    "defined twice": "def tiny_double(x):\n    return x\ndef tiny_double(x):\n    return 2 * x",
    "autograd on the way": """
import torch
def tiny_double(x):
    with torch.enable_grad():
        y = x.detach().requires_grad_()
        return torch.autograd.grad((y * y).sum(), y)[0]""",
    "torch.func": "import torch\ndef tiny_double(x):\n    return torch.func.grad(lambda y: (y * y).sum())(x)",
    "one second of thought": "import time\ndef tiny_double(x):\n    time.sleep(0.05)\n    return 2 * x",
    "tries torch.compile": """
import torch
def tiny_double(x):
    return 2 * x
try:
    compiled = torch.compile(tiny_double)
except Exception:
    compiled = tiny_double""",
}

APPLIES = {
    "calls f twice": "def tiny_apply(f, x):\n    f(x)\n    return f(x + x)",
    "calls f row by row": "import torch\ndef tiny_apply(f, x):\n    return torch.stack([f(2 * row) for row in x])",
    "keeps f": "kept = []\ndef tiny_apply(f, x):\n    kept.append(f)\n    return kept[-1](x + x)",
}


# ---- other files


def _old(minor: int) -> Callable[[bytes], bytes]:
    """nbformat 4.0 to 4.4: cells without ids."""

    def edit(content: bytes) -> bytes:
        held = json.loads(content)
        held["nbformat_minor"] = minor
        for cell in held["cells"]:
            del cell["id"]
        return json.dumps(held).encode()

    return edit


def _version_3(content: bytes) -> bytes:
    notebook = nbformat.convert(nbformat.reads(content.decode(), as_version=4), 3)
    return nbformat.writes(notebook, version=3).encode()


def _joined(content: bytes) -> bytes:
    """Sources as one text instead of lines."""
    held = json.loads(content)
    for cell in held["cells"]:
        cell["source"] = "".join(cell["source"])
    return json.dumps(held, ensure_ascii=False).encode()


def _colab(content: bytes) -> bytes:
    """What another front end leaves behind: metadata and ids of its own, outputs, counts."""
    held = json.loads(content)
    held["metadata"] = {"colab": {"provenance": []}, "kernelspec": {"name": "ir", "display_name": "R"}}
    for cell in held["cells"]:
        cell["metadata"]["colab"] = {"base_uri": "https://localhost:8080/"}
        if cell["cell_type"] == "code":
            cell["execution_count"] = 7
            cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": ["x\n"]}]
    return json.dumps(held).encode()


def _moved(notebook: NotebookNode) -> None:
    """A helper defined below its use, and then moved above."""
    notebook.cells.insert(1, new_code_cell("def helper(x):\n    return x + x"))
    notebook.cells.append(new_code_cell("helper = None"))
    next(
        cell for cell in notebook.cells if cell["id"] == "tiny_double"
    ).source = "def tiny_double(x, helper=helper):\n    return helper(x)"


def _chatty(notebook: NotebookNode) -> None:
    notebook.cells[3:3] = [new_markdown_cell("# Meine Lösung ✓\n\n$x < y$ & <b>so</b>"), new_code_cell("print('日本')")]


def _commented(notebook: NotebookNode) -> None:
    for cell in notebook.cells:
        cell.metadata["collapsed"] = True


FILES = (
    *(Honest(f"nbformat 4.{minor}", file=_old(minor)) for minor in range(5)),
    Honest("nbformat 3", file=_version_3),
    Honest("CRLF", file=lambda content: content.replace(b"\\n", b"\\r\\n")),
    Honest("CRLF in the file", file=lambda content: content.replace(b"\n", b"\r\n")),
    Honest("a byte-order mark", file=lambda content: b"\xef\xbb\xbf" + content),
    Honest("sources as one text", file=_joined),
    Honest("another front end", file=_colab),
    Honest("helpers moved", double="", change=_moved),
    Honest("notes in other scripts", change=_chatty),
    Honest("metadata of an extension", change=_commented),
)

HONEST: tuple[Honest, ...] = (
    *(Honest(f"beside it: {name}", name in RAISES, change=_beside(code)) for name, code in BESIDE.items()),
    *(Honest(f"tiny_double: {name}", double=code) for name, code in DOUBLES.items()),
    *(Honest(f"tiny_apply: {name}", apply=code) for name, code in APPLIES.items()),
    *FILES,
)
