"""Drawings in written answers, in whatever way they were put in."""

from __future__ import annotations

import base64
import struct
import zlib
from typing import Any

from .hand_in import END, HandIn, Raw, raw_of

# ---- pictures


def _png(width: int, height: int = 1) -> str:
    """A grey picture, base64."""
    data = zlib.compress((b"\0" + b"\x80" * width) * height)
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", data), (b"IEND", b""))
    body = b"".join(struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks)
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + body).decode()


DOT, BAR = _png(1), _png(3)
NOISE = base64.b64encode(bytes(zlib.crc32(str(n).encode()) % 256 for n in range(60_000))).decode()


def _attached(**pictures: str) -> Raw:
    def raw(held: dict[str, Any]) -> None:
        raw_of(held, "why-answer")["attachments"] = {
            name.replace("_", " ") + ".png": {"image/png": data} for name, data in pictures.items()
        }

    return raw


def _drawing(name: str, text: str, *data: str, **more: Any) -> HandIn:
    shown = tuple(f"base64,{one[:40]}" for one in data)
    return HandIn("pictures", name, answer=f"Before.\n\n{text}\n\n{END}", shown=("Before.", END, *shown), **more)


PICTURES = (
    _drawing("an attachment", "![p](attachment:p.png)", DOT, raw=_attached(p=DOT)),
    _drawing("an attachment with a blank", "![p](attachment:my%20p.png)", DOT, raw=_attached(my_p=DOT)),
    _drawing("an attachment with a blank as it is", "![p](<attachment:my p.png>)", DOT, raw=_attached(my_p=DOT)),
    _drawing(
        "two attachments", "![a](attachment:a.png) and ![b](attachment:b.png)", DOT, BAR, raw=_attached(a=DOT, b=BAR)
    ),
    _drawing("an attachment that is missing", "![p](attachment:gone.png)"),
    _drawing("an attachment by <img>", '<img src="attachment:p.png" width="30"/>', DOT, raw=_attached(p=DOT)),
    _drawing("<img> with a size", f'<img src="data:image/png;base64,{DOT}" width="300" height=20>', DOT),
    _drawing("<img> with single quotes", f"<IMG alt='a > b' SRC='data:image/png;base64,{BAR}' style='width:50%'>", BAR),
    _drawing("<img> in a box", f'<div align="center">\n<img src="data:image/png;base64,{DOT}">\n</div>', DOT),
    _drawing("a data URI with a title", f'![a](data:image/png;base64,{DOT} "my drawing")', DOT),
    _drawing("a data URI without words", f"![](data:image/png;base64,{DOT})", DOT),
    _drawing("a data URI with brackets", f"![x[0] (left)](data:image/png;base64,{DOT})", DOT),
    _drawing("a JPEG", f"![a](data:image/jpeg;base64,{DOT})", DOT),
    _drawing("image/jpg", f"![a](data:image/jpg;base64,{DOT})", DOT),
    _drawing("a large one", f"![a](data:image/png;base64,{NOISE})", NOISE),
    _drawing("ten large ones", "\n\n".join(f"![a](data:image/png;base64,{NOISE[4 * n :]})" for n in range(10)), NOISE),
    _drawing("by reference", f"![a][1]\n\n[1]: data:image/png;base64,{DOT}", DOT),
    _drawing("in a sentence", f"see ![a](data:image/png;base64,{DOT}) here and **there**", DOT),
    _drawing(
        "in a table", f"| a | b |\n|---|---|\n| ![a](data:image/png;base64,{DOT}) | $|x|$ |", DOT, "<table"[:0] or DOT
    ),
    _drawing("broken base64", "![a](data:image/png;base64,%%%)"),
    _drawing("remote", "![a](https://example.org/a.png)"),
)
