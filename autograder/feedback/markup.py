"""What a student wrote, made harmless to look at: outputs, Markdown and HTML without script, markup or remote pictures.

The notebooks below `autograded/` are shown by formgrader, which renders Markdown and HTML as they are; what is stored
there has been through this module, and the feedback pages' HTML once more as a whole.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

import bleach
from bleach.css_sanitizer import CSSSanitizer
from nbformat import NotebookNode

from ..nodes import new_output

MAX_OUTPUTS = 500  # of one cell
MAX_ROOM = 8 * 2**20  # characters of a submission's outputs in all
# Characters of one text: no renderer needs 50 ms for as many, whatever they are. Markdown is cut where it is rendered.
MAX_TEXT, MAX_HTML, MAX_MARKDOWN = 50_000, 10_000, 5_000
MAX_LINES, MAX_LINE = 200, 5_000  # of a traceback; of Markdown, lines alone
MAX_DEPTH = 50  # tags left open; parsing takes time quadratic in it
MAX_MARKS = 4  # on one letter: more of them are piled up over what stands above
EACH = 100  # characters of the room for an output, however small
COSTLY = 20  # times as much of the room as plain text is what has to be parsed
PICTURES = ("image/png", "image/jpeg", "image/gif")
KINDS = (*PICTURES, "text/html", "text/markdown", "text/latex", "text/plain")  # of output that are shown
MARKUP = "a abbr b blockquote br caption code dd del details div dl dt em h1 h2 h3 h4 h5 h6 hr i img kbd li ol p pre"
TAGS = frozenset(f"{MARKUP} s small span strong sub summary sup table tbody td tfoot th thead tr tt u ul var".split())
STYLES = ["text-align", "font-weight", "font-style", "color", "background-color"]
# What a student wrote stays inside: clipped or scrolled, and nothing in it lies over what is outside.
BOX = "contain: content; overflow: auto; max-width: 100%"
BOXED = f'<div style="{BOX}">', "</div>"
# A tag without attributes from this list may stay in Markdown; any other "<" is moved away from what follows it, which
# neither Markdown nor a browser takes for a tag, and mathematics does not mind.
OPENING = re.compile(r"<(?:(/?(?:b|i|em|strong|sub|sup|br|u|s|kbd|code|details|summary)\s*/?>)|(?=[a-z/!?]))", re.I)
LINK = re.compile(r"\]\((?!(?:https?://|mailto:|#|attachment:)[^\s&\\()<>\"']*(?: \"[a-z0-9, ]*\")?\))", re.I)
FENCE = re.compile(r"^([ \t>*+-]*(?:`{3,}|~{3,}))[^`\n]*$", re.M)
# Commands of TeX that reach out of a formula: styles, names, addresses, and definitions for all that follows.
REACHING = re.compile(
    r"\\(?=(?:style|class|css|cssId|href|url|unicode|require|[egx]?def|let|(?:re)?new(?:command|environment)|"
    r"DeclareMathOperator|Newextarrow|mmlToken|bbox)(?![A-Za-z]))"
)
REMOTE_PICTURE = re.compile(r"!(?=\[)(?!\[[^\]]{0,200}\]\(attachment:)", re.I)


def readable(text: Any, most: int = 2000) -> str:
    """`text` on its way to a terminal, a table or a database: without control characters, and not endless."""
    kept = str(text)[: most + 1]
    kept = "".join(c if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co") else "?" for c in kept)
    return kept if len(kept) <= most else kept[:most] + "…"


def storable(text: str) -> str:
    """`text` without lone surrogates, which no file takes."""
    return text.encode("utf-8", "replace").decode("utf-8")


@dataclass
class Room:
    """Characters that a submission's outputs may still take; asked before anything is parsed or built. Once it is
    `late`, nothing more is. `cuts` counts the texts that were cut.
    """

    left: int = MAX_ROOM
    late: Callable[[], bool] = lambda: False
    cuts: int = 0

    def cut(self, text: str, most: int, weight: int = 1) -> str:
        """As much of `text` as there is room for, at most `most` characters, with a word where something was cut."""
        kept = text[: min(most, max(self.left, 0) // weight)]
        self.left -= len(kept) * weight
        cut = len(text) - len(kept)
        self.cuts += cut > 0
        return level(kept) + (f"\n[{cut} more characters were cut]" if cut else "")

    def whole(self, text: str) -> bool:
        """Whether there is room for all of `text`, which then takes it."""
        fits = len(text) <= self.left
        self.left -= len(text) if fits else 0
        return fits


def level(text: str) -> str:
    """`text` with no more marks on a letter than languages have."""
    return text if text.isascii() else _piles().sub(lambda pile: pile[0][:MAX_MARKS], text)


@cache
def _piles() -> re.Pattern[str]:
    marks = "".join(c for c in map(chr, range(0x300, 0x20000)) if unicodedata.category(c) in ("Mn", "Me"))
    return re.compile(f"[{marks}]{{{MAX_MARKS + 1},}}")


def safe_markdown(source: str) -> str:
    """Markdown that renders to text, mathematics and links to web pages; where that is all it does, unchanged."""
    source = OPENING.sub(lambda match: match[0] if match[1] else "< ", level(source))
    source = REMOTE_PICTURE.sub("! ", source)
    source = FENCE.sub(r"\1", source)  # a highlighter can be kept busy for minutes
    return LINK.sub("] (", REACHING.sub(r"\\ ", source)).replace("]:", "] :")


def safe_html(html: str) -> str:
    """HTML with tags for text and tables, pictures and web links, and nothing that could act, in a box of its own."""
    kept, cut = REACHING.sub(r"\\ ", html[:MAX_HTML]), "<p>[the rest was cut]</p>" if len(html) > MAX_HTML else ""
    return f"{BOXED[0]}{clean_html(kept)}{cut}{BOXED[1]}"


def clean_html(html: str) -> str:
    """As `safe_html`, without a box, whatever its length."""
    try:
        if _depth(html) <= MAX_DEPTH:
            return _cleaner().clean(level(html))
    except Exception:  # whatever a parser trips over
        pass
    return "<p>[not shown: this HTML is nested too deep, or no HTML]</p>"


def _depth(html: str) -> int:
    """How many tags are open at most, at once."""
    depth = deepest = 0
    for end, _ in re.findall(r"<(/?)(?!(?:br|hr|img|col|wbr)\b)([a-z])", html, re.I):
        depth = max(0, depth - 1) if end else depth + 1
        deepest = max(deepest, depth)
    return deepest


def _cleaner() -> bleach.Cleaner:
    """One for each text: it holds the text that it is at, and several threads clean at a time.

    No class, id or name is kept: the page's own styles, scripts and links would find them.
    """
    attributes = {
        "*": ["style", "title", "colspan", "rowspan", "start", "align"],
        "a": ["href"],
        "img": _picture,
    }
    protocols = {"http", "https", "mailto", "data"}
    css = CSSSanitizer(allowed_css_properties=STYLES)
    return bleach.Cleaner(tags=TAGS, attributes=attributes, protocols=protocols, css_sanitizer=css, strip=True)


def _picture(tag: str, name: str, value: str) -> bool:
    if name == "src":
        return bool(re.match(r"data:image/(png|jpeg|gif|svg\+xml)[;,]", value))  # none that tells who looks at it
    return name in ("alt", "width", "height")


def safe_outputs(outputs: Iterable[Any], room: Room | None = None) -> list[NotebookNode]:
    """A cell's outputs, as far as they are well-formed and there is room: they come from the student's side, and may
    be forged.
    """
    made: list[NotebookNode] = []
    room = room or Room()
    for output in outputs:
        if len(made) == MAX_OUTPUTS or room.left <= 0 or room.late():
            made.append(_stream("stderr", "\n[more outputs were cut]\n"))
            break
        room.left -= EACH
        one = _safe_output(output, room) if isinstance(output, dict) else None
        if one is not None:
            made.append(one)
    return made


def _stream(name: str, text: str) -> NotebookNode:
    return new_output("stream", name=name, text=text)


def _safe_output(output: dict[str, Any], room: Room) -> NotebookNode | None:
    kind = output.get("output_type")
    if kind == "stream":
        text = room.cut(_text(output.get("text")), MAX_TEXT)
        return _stream("stderr" if output.get("name") == "stderr" else "stdout", text)
    if kind == "error":
        lines = output.get("traceback")
        trace = [room.cut(_text(line), MAX_LINE) for line in lines[:MAX_LINES]] if isinstance(lines, list) else []
        name, value = _text(output.get("ename"))[:200], _text(output.get("evalue"))[:2000]
        return new_output("error", ename=name, evalue=value, traceback=trace)
    data = output.get("data")
    if kind not in ("display_data", "execute_result") or not isinstance(data, dict):
        return None
    kept = {mime: safe for mime in KINDS if mime in data and (safe := _safe_data(mime, data[mime], room)) is not None}
    if not kept:
        return None
    count = {} if kind == "display_data" else {"execution_count": _count(output.get("execution_count"))}
    metadata = {mime: about for mime in kept if (about := _safe_metadata(output, mime))}
    return new_output(kind, data=kept, metadata=metadata, **count)


def _safe_data(mime: str, value: Any, room: Room) -> str | None:
    if mime in PICTURES:
        return value if _encoded(value) and room.whole(value) else None
    text = _text(value)
    match mime:
        case "text/markdown":
            return safe_markdown(room.cut(text, MAX_MARKDOWN, COSTLY))
        case "text/latex":
            return REACHING.sub(r"\\ ", room.cut(text, MAX_MARKDOWN, COSTLY))
        case "text/html":
            return safe_html(room.cut(text, MAX_HTML, COSTLY))
        case _:
            return room.cut(text, MAX_TEXT)


def _safe_metadata(output: dict[str, Any], mime: str) -> dict[str, Any]:
    """Size and alternative text of a picture."""
    metadata = output.get("metadata")
    about = metadata.get(mime) if isinstance(metadata, dict) and mime in PICTURES else None
    if not isinstance(about, dict):
        return {}
    sizes = {key: about[key] for key in ("width", "height") if type(about.get(key)) in (int, float)}
    return {**sizes, "alt": _text(about["alt"])[:2000]} if isinstance(about.get("alt"), str) else sizes


def _encoded(data: Any) -> bool:
    return isinstance(data, str) and re.fullmatch(r"[A-Za-z0-9+/=\s]*", data) is not None


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value < 10**6 else None


def _text(value: Any) -> str:
    if isinstance(value, list):
        value = "".join(line for line in value if isinstance(line, str))
    return storable(value) if isinstance(value, str) else ""
