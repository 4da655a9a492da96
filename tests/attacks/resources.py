"""More of everything than a submission may have; graded with small limits."""

from __future__ import annotations

from .attack import before, instead

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

ATTACKS = (*before("resources", RESOURCES, tight=True), *instead("resources", SLOW, tight=True))
