"""The socket to the checker spoken directly: every message a hostile one."""

from __future__ import annotations

from typing import Any

from .attack import WRONG, Attack, before

SPEAK = """
import gc, json, struct
guest = next(thing for thing in gc.get_objects() if type(thing).__name__ == 'Guest')
sock, honest = guest.connection, guest.host.answer
def frame(kind, payload): return struct.pack('>cQ', kind, len(payload)) + payload
def message(tree, blob=b''):
    header = tree if isinstance(tree, bytes) else json.dumps(tree).encode()
    return struct.pack('>I', len(header)) + header + blob
def value(tree): return {'d': {'value': tree}}
def asking(number, args, blob=b''):
    return message({'d': {'callback': number, 'args': {'u': args}, 'kwargs': {'d': {}}}}, blob)
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
    "a shape of huge numbers": """message(
        b'{"d":{"value":{"t":["float64",[' + b','.join([b'9' * 4000] * 200) + b']]}}}')""",
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
    "terminal commands in an error": """
        message({'d': {'error': {'d': {'type': 'E', 'message': '\\x1b]0;owned\\x07\\x1b[2J'}}}})""",
    "half a character": 'message(b\'{"d":{"error":{"d":{"type":"E","message":"\\\\ud800"}}}}\')',
    "floods of callbacks": "[ask(asking({'i': '0'}, [])) for _ in iter(int, 1)]",
    "callbacks that are none": "ask(message({'l': []}))",
    "callbacks by a negative number": "ask(asking({'i': '-1'}, []))",
    "a callback with a huge argument": "ask(asking({'i': '0'}, [{'t': ['uint8', [2**25]]}], bytes(2**25)))",
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
         {{'output_type': 'display_data', 'data': [], 'metadata': 3}}, {{'output_type': 'execute_result', 'data': 1}},
         {{'output_type': 'display_data', 'data': {{'image/png': {{}}, 'text/html': 5}}, 'metadata': 7}}]
run = guest.shell.execute
guest.shell.execute = lambda *given, **named: [run(*given, **named), wrong][1]""",
    "the socket closed": f"{SPEAK}\nsock.close()",
    "the socket shut down": f"{SPEAK}\nimport socket\nsock.shutdown(socket.SHUT_RDWR)",
    "nobody reads any more": f"{SPEAK}\nimport time\nguest.serve = lambda: time.sleep(60)\ntime.sleep(60)",
    "descriptors sent along": f"""{SPEAK}
import os, socket
for _ in range(50):
    socket.send_fds(sock, [b''], [os.open('/dev/null', os.O_RDONLY)])""",
}

ATTACKS = (*_replies(REPLIES), *before("protocol", SPOKEN))
