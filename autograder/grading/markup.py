"""What a student wrote, made harmless to look at: outputs, Markdown and HTML without script, markup or remote pictures.

The notebooks below `autograded/` are shown by formgrader, which renders Markdown and HTML as they are; what is stored
there has been through this module, and the feedback pages' HTML once more as a whole.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import cache
from typing import Any

import bleach
import nbformat
from bleach.css_sanitizer import CSSSanitizer
from nbformat import NotebookNode

MAX_OUTPUTS = 500  # of one cell
MAX_HTML, MAX_DEPTH = 50_000, 50  # characters and tags left open; parsing takes time quadratic in the latter
PICTURES = ("image/png", "image/jpeg", "image/gif")
MARKUP = "a abbr b blockquote br caption code dd del details div dl dt em h1 h2 h3 h4 h5 h6 hr i img kbd li ol p pre"
TAGS = frozenset(f"{MARKUP} s small span strong sub summary sup table tbody td tfoot th thead tr tt u ul var".split())
STYLES = ["text-align", "font-weight", "font-style", "color", "background-color", "width", "max-width", "margin"]
# A tag without attributes from this list may stay in Markdown; any other "<" is moved away from what follows it, which
# neither Markdown nor a browser takes for a tag, and mathematics does not mind.
OPENING = re.compile(r"<(?:(/?(?:b|i|em|strong|sub|sup|br|u|s|kbd|code|details|summary)\s*/?>)|(?=[a-z/!?]))", re.I)
LINK = re.compile(r"\]\((?!(?:https?://|mailto:|#|attachment:)[^\s&\\()<>\"']*\))", re.I)
FENCE = re.compile(r"^([ \t>*+-]*(?:`{3,}|~{3,}))[^`\n]*$", re.M)
REMOTE_PICTURE = re.compile(r"!(?=\[[^\]]*\]\((?!attachment:))", re.I)


def readable(text: Any, most: int = 2000) -> str:
    """`text` on its way to a terminal, a table or a database: without control characters, and not endless."""
    kept = str(text)[: most + 1]
    kept = "".join(c if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co") else "?" for c in kept)
    return kept if len(kept) <= most else kept[:most] + "…"


def storable(text: str) -> str:
    """`text` without lone surrogates, which no file takes."""
    return text.encode("utf-8", "replace").decode("utf-8")


def safe_markdown(source: str) -> str:
    """Markdown that renders to text, mathematics and links to web pages; where that is all it does, unchanged."""
    source = OPENING.sub(lambda match: match[0] if match[1] else "< ", source)
    source = REMOTE_PICTURE.sub("! ", source)
    source = FENCE.sub(r"\1", source)  # a highlighter can be kept busy for minutes
    return LINK.sub("] (", source).replace("]:", "] :")


def safe_html(html: str) -> str:
    """HTML with tags for text and tables, pictures and web links, and nothing that could act."""
    try:
        if len(html) <= MAX_HTML and _depth(html) <= MAX_DEPTH:
            return _cleaner().clean(html)
    except Exception:  # whatever a parser trips over
        pass
    return "<p>[not shown: this HTML is too long, or no HTML]</p>"


def _depth(html: str) -> int:
    """How many tags are open at most, at once."""
    depth = deepest = 0
    for end, _ in re.findall(r"<(/?)(?!(?:br|hr|img|col|wbr)\b)([a-z])", html, re.I):
        depth = max(0, depth - 1) if end else depth + 1
        deepest = max(deepest, depth)
    return deepest


@cache
def _cleaner() -> bleach.Cleaner:
    attributes = {
        "*": ["class", "id", "style", "title", "colspan", "rowspan", "start", "align"],
        "a": ["href", "name"],
        "img": _picture,
    }
    protocols = {"http", "https", "mailto", "data"}
    css = CSSSanitizer(allowed_css_properties=STYLES)
    return bleach.Cleaner(tags=TAGS, attributes=attributes, protocols=protocols, css_sanitizer=css, strip=True)


def _picture(tag: str, name: str, value: str) -> bool:
    if name == "src":
        return bool(re.match(r"data:image/(png|jpeg|gif|svg\+xml)[;,]", value))  # none that tells who looks at it
    return name in ("alt", "width", "height")


def safe_attachments(attachments: dict[str, Any]) -> dict[str, dict[str, str]]:
    """The pictures among a Markdown cell's attachments."""
    kept: dict[str, dict[str, str]] = {}
    for name, bundle in attachments.items():
        pictures = {kind: bundle[kind] for kind in PICTURES if kind in bundle} if isinstance(bundle, dict) else {}
        pictures = {kind: data for kind, data in pictures.items() if _encoded(data)}
        if pictures:
            kept[storable(str(name))] = pictures
    return kept


def safe_outputs(outputs: Iterable[Any]) -> list[NotebookNode]:
    """A cell's outputs, as far as they are well-formed: they come from the student's side, and may be forged."""
    made: list[NotebookNode] = []
    for output in outputs:
        if len(made) == MAX_OUTPUTS:
            made.append(_stream("stderr", "\n[more outputs were cut]\n"))
            break
        one = _safe_output(output) if isinstance(output, dict) else None
        if one is not None:
            made.append(one)
    return made


def _stream(name: str, text: str) -> NotebookNode:
    return nbformat.v4.new_output("stream", name=name, text=text)


def _safe_output(output: dict[str, Any]) -> NotebookNode | None:
    kind = output.get("output_type")
    if kind == "stream":
        return _stream("stderr" if output.get("name") == "stderr" else "stdout", _text(output.get("text")))
    if kind == "error":
        lines = output.get("traceback")
        trace = [_text(line) for line in lines[:200]] if isinstance(lines, list) else []
        name, value = _text(output.get("ename"))[:200], _text(output.get("evalue"))[:2000]
        return nbformat.v4.new_output("error", ename=name, evalue=value, traceback=trace)
    data = output.get("data")
    if kind not in ("display_data", "execute_result") or not isinstance(data, dict):
        return None
    kept = {mime: safe for mime in data if (safe := _safe_data(mime, data[mime])) is not None}
    if not kept:
        return None
    count = {} if kind == "display_data" else {"execution_count": _count(output.get("execution_count"))}
    metadata = {mime: about for mime in kept if (about := _safe_metadata(output, mime))}
    return nbformat.v4.new_output(kind, data=kept, metadata=metadata, **count)


def _safe_data(mime: str, value: Any) -> str | None:
    if mime in PICTURES:
        return value if _encoded(value) else None
    if mime in ("text/plain", "text/latex"):
        return _text(value)
    if mime == "text/markdown":
        return safe_markdown(_text(value)[:MAX_HTML])
    if mime == "text/html":
        return safe_html(_text(value))
    return None


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
