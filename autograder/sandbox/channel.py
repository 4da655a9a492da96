"""Frames over a socket: a kind of one byte, a length of eight, then the payload.

checker to student: Q (a request), A (an answer to a callback)
student to checker: R (the reply),  C (a callback, asked while the request is still open)
"""

from __future__ import annotations

import socket
import struct
import time

REQUEST, REPLY, CALLBACK, ANSWER = b"Q", b"R", b"C", b"A"
MAX_FRAME = 256 * 2**20
HEAD = struct.Struct(">cQ")


class Closed(ConnectionError):
    """The other side is gone, or sends what is not a frame."""


def send(connection: socket.socket, kind: bytes, payload: bytes) -> None:
    """Send one frame whole. Raises `Closed`."""
    try:
        connection.sendall(HEAD.pack(kind, len(payload)) + payload)
    except OSError as error:
        raise Closed(str(error)) from None


def receive(connection: socket.socket, deadline: float | None = None) -> tuple[bytes, bytes]:
    """The next frame as (kind, payload). Raises `Closed`, and `TimeoutError` past `deadline` (of `time.monotonic`)."""
    kind, length = HEAD.unpack(_exactly(connection, HEAD.size, deadline))
    if length > MAX_FRAME:
        raise Closed(f"a frame of {length} bytes, more than {MAX_FRAME}")
    return kind, _exactly(connection, length, deadline)


def _exactly(connection: socket.socket, count: int, deadline: float | None) -> bytes:
    parts: list[bytes] = []
    while count:
        if deadline is not None:
            connection.settimeout(max(deadline - time.monotonic(), 0.001))
        try:
            part = connection.recv(min(count, 2**20))
        except TimeoutError:
            if parts:
                # Half a frame is lost either way: whoever reads on would read nonsense.
                raise Closed("a frame was not finished in time") from None
            raise
        except OSError as error:
            raise Closed(str(error)) from None
        if not part:
            raise Closed("the connection ended")
        parts.append(part)
        count -= len(part)
    return b"".join(parts)
