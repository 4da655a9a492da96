"""Reaching for what is outside: answers, secrets, files, the network, privileges. Each sets `found` if it succeeds."""

from __future__ import annotations

from .attack import probes

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
    "the grader's files anywhere": """
import os
from pathlib import Path
for place in ('/root', '/home', '/etc', '/var', '/opt', '/srv', '/mnt', '/work', '/tmp', '/run', '/dev/shm'):
    for top, folders, files in os.walk(place):
        folders[:] = [name for name in folders if name not in ('site-packages', 'proc')]
        found = found or bool({'gradebook.db', 'shadow', 'id_rsa', 'known_hosts', 'vae.ipynb'} & set(files))""",
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
    "home of the grader": """
from pathlib import Path
found = any(Path({home!r}, name).exists() for name in ('.ssh', '.bashrc', '.profile', '.config', '.cache'))""",
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
names = ('gradebook.db', 'solutions', 'submitted')
found = any(os.path.exists('../' * n + name) for n in range(8) for name in names)""",
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
names = get_ipython().user_ns
found = any('HID' + 'DEN' in str(text) for text in [*names.get('In', []), *names.values()])""",
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
found = Path({root!r}, 'nbgrader_config.py').exists()  # a checkout below /tmp: not its own /tmp, then
""",
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
    "sandbox package written": """
from pathlib import Path
Path('/opt/grading/sandbox/evil.py').write_text('1')
found = True""",
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
    "DNS": "import socket\nfound = bool(socket.gethostbyname('example.org'))",
    "IPv6": "import socket\nsocket.create_connection(('2606:4700:4700::1111', 443), 0.3)\nfound = True",
    "abstract socket of the host": "import socket\ns = socket.socket(1)\ns.connect('\\0{abstract}')\nfound = True",
    "vsock to the hypervisor": "import socket\nsocket.socket(40, 1)\nfound = True",
    "raw and packet sockets": "import socket\nsocket.socket(17, 3)\nfound = True",
    "interfaces": "import socket\nfound = any(name != 'lo' for _, name in socket.if_nameindex())",
    "curl by shell": """
import subprocess
found = subprocess.run('curl -m 1 -s http://1.1.1.1', shell=True).returncode == 0""",
}

PRIVILEGE = {
    "user namespace": "import ctypes\nfound = ctypes.CDLL(None).unshare(0x10000000) == 0",
    "clone with a user namespace": """
import subprocess
found = subprocess.run(['unshare', '-Ur', 'true']).returncode == 0""",
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

ATTACKS = (
    *probes("reading", READING),
    *probes("files", FILES),
    *probes("network", NETWORK),
    *probes("privilege", PRIVILEGE),
)
