"""Frames over a socket: a kind of one byte, a length of eight, then the payload.

checker to student: Q (a request), A (an answer to a callback)
student to checker: R (the reply),  C (a callback, asked while the request is still open)

Deadlines (of `time.monotonic`) hold for a frame as a whole: a sender that drips a byte at a time, or a receiver that
takes none, gains nothing by it.
"""

from __future__ import annotations

import select
import socket
import struct
import time

REQUEST, REPLY, CALLBACK, ANSWER = b"Q", b"R", b"C", b"A"
MAX_FRAME = 64 * 2**20
HEAD = struct.Struct(">cQ")


class Closed(ConnectionError):
    """The other side is gone, or sends what is not a frame."""


def send(connection: socket.socket, kind: bytes, payload: bytes, deadline: float | None = None) -> None:
    """Send one frame whole. Raises `Closed`, also when it was not taken in time: the rest of it would be lost."""
    connection.settimeout(None if deadline is None else max(deadline - time.monotonic(), 0.001))
    try:
        connection.sendall(HEAD.pack(kind, len(payload)) + payload)  # in one: each piece would wake the other side
    except OSError as error:  # TimeoutError is one
        raise Closed(str(error)) from None


def waits(connection: socket.socket, seconds: float) -> bool:
    """Whether something is there to be received, within so many seconds."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(1e3 * seconds))


def receive(connection: socket.socket, deadline: float | None = None) -> tuple[bytes, bytes]:
    """The next frame as (kind, payload). Raises `Closed`, and `TimeoutError` when none has begun by `deadline`."""
    kind, length = HEAD.unpack(_exactly(connection, HEAD.size, deadline, begun=False))
    if length > MAX_FRAME:
        raise Closed(f"a frame of {length} bytes, more than {MAX_FRAME}")
    return kind, _exactly(connection, length, deadline, begun=True)


def _exactly(connection: socket.socket, count: int, deadline: float | None, begun: bool) -> bytes:
    held = bytearray()
    while len(held) < count:
        late = deadline is not None and time.monotonic() >= deadline
        try:
            if late:  # however much there is to read
                raise TimeoutError
            connection.settimeout(None if deadline is None else max(deadline - time.monotonic(), 0.001))
            part = connection.recv(min(count - len(held), 2**20))
        except TimeoutError:
            if held or begun:
                # Half a frame is lost either way: whoever reads on would read nonsense.
                raise Closed("a frame was not finished in time") from None
            raise
        except OSError as error:
            raise Closed(str(error)) from None
        if not part:
            raise Closed("the connection ended")
        held += part
    return bytes(held)
