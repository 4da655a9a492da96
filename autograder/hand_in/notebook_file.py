"""The file of a submitted notebook: read whatever wrote it, reduced to what a submission may say.

Nobody's answers are lost to an odd cell or to large outputs: outputs are cut out of the text before anything of it is
parsed, and a cell that follows no format is text, or left out, with a remark among the notebook's `flags`.
"""

from __future__ import annotations

import errno
import json
import os
import re
import stat
from pathlib import Path
from typing import Any

from nbformat import NotebookNode

from ..feedback.markup import storable
from ..feedback.pictures import Pictures
from ..nodes import node

MAX_FILE = 100 * 2**20  # bytes, as nbgrader's own limit
MAX_BYTES = 20 * 2**20  # without outputs
MAX_TOKENS = 3_000_000  # brackets and texts of outputs that are passed over: some seconds
MAX_CELLS = 2000
MAX_TEXT = 2**20  # characters of all cells; a lesson has some 100,000
MAX_BLANK = 100  # lines in a row: highlighters take time quadratic in them
MAX_FLAGS = 20
THROWN_AWAY = re.compile(r'"(?:outputs|widgets)"\s*:\s*(?=[\[{])')
TOKEN = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[\[\]{}]', re.S)  # a text of JSON, whole, or a bracket
CONFLICT = re.compile(r"^(?:<{7}|>{7}) ", re.M)
KINDS = ("code", "markdown", "raw")
CLEAR = "clear its outputs (in JupyterLab: Edit, Clear Outputs of All Cells), save it and hand it in again"


class SubmissionError(ValueError):
    """A submission that cannot be graded at all, with the reason in one line."""


class Unreadable(SubmissionError):
    """A file that the machine does not let the grader read: no fault of the submission's."""


def plain_bytes(path: Path, most: int) -> bytes:
    """The bytes of a submitted file, at most one more than `most`. Raises `SubmissionError` for what is no file of the
    student's own: a link would hand in whatever it points to, a pipe would be waited for.
    """
    try:
        if any(place.is_symlink() for place in (path, path.parent, path.parent.parent)):
            raise SubmissionError(f"{path.name} is a link, or lies in a folder that is one")
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise SubmissionError(f"{path.name} is not a file")
            return file.read(most + 1)
    except FileNotFoundError:
        raise SubmissionError(f"{path.name} is missing") from None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.EISDIR):  # a link after all, a socket, a folder
            raise SubmissionError(f"{path.name} is not a file") from None
        raise Unreadable(f"{path.name} cannot be read: {error.strerror}") from None


def content(path: Path) -> bytes:
    """A submitted notebook's bytes, without its outputs. Raises `SubmissionError`."""
    data = plain_bytes(path, MAX_FILE)
    if len(data) > MAX_FILE:
        raise SubmissionError(f"{path.name} is larger than {MAX_FILE // 2**20} MB: {CLEAR}")
    text = _without_outputs(_decoded(data), path.name)
    del data
    kept = text.encode("utf-8", "surrogatepass")
    if len(kept) > MAX_BYTES:
        raise SubmissionError(
            f"{path.name} is larger than {MAX_BYTES // 2**20} MB without its outputs: take large pictures out of it, "
            "move data into a file beside it, and hand it in again"
        )
    return kept


def _decoded(data: bytes) -> str:
    """The file's text, in the encoding that its mark says; bytes that are no text become "�"."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    return data.decode("utf-8-sig", "replace")


def _without_outputs(text: str, name: str) -> str:
    """The JSON with every list of outputs and the state of widgets empty; as it is where brackets do not pair."""
    kept, here, tokens = [], 0, 0
    while found := THROWN_AWAY.search(text, here):
        start = found.end()
        depth = 0
        for token in TOKEN.finditer(text, start):
            tokens += 1
            if tokens > MAX_TOKENS:
                raise SubmissionError(f"{name} holds too many outputs: {CLEAR}")
            depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(token[0], 0)
            if depth == 0:
                break
        else:
            return text
        kept += [text[here:start], "[]" if text[start] == "[" else "{}"]
        here = token.end()
    return "".join([*kept, text[here:]])


def read(path: Path) -> NotebookNode:
    """The submitted notebook: plain `cells`, and what was odd as `flags`. Raises `SubmissionError`."""
    text = content(path).decode("utf-8", "replace")
    try:
        held = json.loads(text)
    except (RecursionError, ValueError) as error:
        reason = str(error).splitlines()[0][:160]
        if not text.strip():
            reason = "it is empty"
        elif CONFLICT.search(text):
            reason = "it holds the marks of a merge conflict (<<<<<<<); decide on one side"
        raise SubmissionError(f"{path.name} is not a notebook file: {reason}") from None
    del text
    if not isinstance(held, dict) or not ({"cells", "worksheets"} & held.keys()):
        raise SubmissionError(f"{path.name} is not a notebook file: it has no cells")
    cells = _cells(held, path.name)
    if len(cells) > MAX_CELLS:
        raise SubmissionError(f"{path.name} has {len(cells)} cells, more than {MAX_CELLS}")
    flags: list[str] = []
    try:
        read = [plain(cell, flags, f"cell {number}") for number, cell in enumerate(cells, 1)]
    except Exception as error:  # as many kinds as there are malformed files
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise SubmissionError(f"{path.name} does not follow the notebook format: {reason[:160]}") from None
    made = [cell for cell in read if cell is not None]
    if cells and not any(cell.source for cell in made):
        raise SubmissionError(f"{path.name} does not follow the notebook format: no cell of it can be read")
    if sum(len(cell.source) for cell in made) > MAX_TEXT:
        raise SubmissionError(
            f"{path.name} holds more than {MAX_TEXT // 2**20} MB of text in its cells: move data into a file beside it"
        )
    return node(cells=made, flags=flags[:MAX_FLAGS])


def _cells(held: dict[str, Any], name: str) -> list[Any]:
    """The cells of a notebook of version 4, or of 2 or 3 in version 4's form; outputs are not looked at."""
    version = str(held.get("nbformat", 4))[:20]
    if version == "4":
        if isinstance(held.get("cells"), list):
            return held["cells"]
        raise SubmissionError(f"{name} does not follow the notebook format: its cells are no list")
    sheets = held.get("worksheets")
    if version not in ("2", "3") or not isinstance(sheets, list):
        raise SubmissionError(f"{name} does not follow the notebook format: version {version}")
    lists = [sheet.get("cells") for sheet in sheets if isinstance(sheet, dict)]
    cells = [cell for cells in lists if isinstance(cells, list) for cell in cells]
    return [_from_before_4(cell) if isinstance(cell, dict) else cell for cell in cells]


def _from_before_4(cell: dict[str, Any]) -> dict[str, Any]:
    kind = cell.get("cell_type")
    source = cell.get("input" if kind == "code" else "source")
    if kind == "heading" and (text := _text_of(source)) is not None:
        source = _heading(cell, text)
    return {**cell, "cell_type": "markdown" if kind in ("html", "heading") else kind, "source": source}


def _heading(cell: dict[str, Any], text: str) -> str:
    level = cell.get("level")
    return f"{'#' * (level if isinstance(level, int) and 0 < level < 7 else 1)} {' '.join(text.splitlines())}"


def plain(cell: Any, flags: list[str], label: str) -> NotebookNode | None:
    """A cell reduced to what a submission may say: type, text, id, nbgrader's metadata, tags, pictures. None where it
    is no cell; what was odd joins `flags`.
    """
    if not isinstance(cell, dict):
        flags.append(f"{label} is no cell and was left out")
        return None
    source = _source(cell.get("source"), flags, label)
    kind, source = _kind(cell, source, flags, label)
    about: dict[str, Any] = {}
    made: dict[str, Any] = {"cell_type": kind, "id": storable(str(cell.get("id") or "")[:64])}
    if kind == "code":
        made |= {"outputs": [], "execution_count": None}
    metadata = cell.get("metadata", {})
    if not isinstance(metadata, dict):
        flags.append(f"{label}: its metadata is no table; left out")
        metadata = {}
    if isinstance(metadata.get("nbgrader"), dict):
        about["nbgrader"] = node({key: _flat(value) for key, value in metadata["nbgrader"].items()})
    if isinstance(metadata.get("tags"), list):
        about["tags"] = [str(tag)[:100] for tag in metadata["tags"][:100]]
    if kind == "markdown":
        pictures = Pictures(cell.get("attachments"))
        source = pictures.written(source)
        flags += [f"{label}: {remark}" for remark in dict.fromkeys(pictures.remarks)]
        if pictures.kept:
            made["attachments"] = node({name: node(bundle) for name, bundle in pictures.kept.items()})
    return node(made, metadata=node(about), source=storable(_condensed(source.replace("\r\n", "\n"))))


def _flat(value: Any) -> Any:
    """A value of nbgrader's metadata; one that holds others, which it never has, as the name of its kind."""
    return f"a {type(value).__name__}" if isinstance(value, dict | list) else value


def _text_of(source: Any) -> str | None:
    if isinstance(source, list):
        try:
            return "".join(source)
        except TypeError:  # not all of it is text
            return None
    return source if isinstance(source, str) else None


def _source(source: Any, flags: list[str], label: str) -> str:
    text = _text_of(source)
    if text is not None:
        return text
    flags.append(f"{label}: its source is no text; what of it is text was kept")
    return "".join(line for line in source if isinstance(line, str)) if isinstance(source, list) else ""


def _kind(cell: dict[str, Any], source: str, flags: list[str], label: str) -> tuple[str, str]:
    """The cell's kind and text: headings of older notebooks are Markdown, what is not known is text."""
    kind = cell.get("cell_type")
    if isinstance(kind, str) and kind in KINDS:
        return kind, source
    if kind == "heading":
        flags.append(f"{label} is a heading of an older notebook; kept as text")
        return "markdown", _heading(cell, source)
    flags.append(f"{label} is of an unknown kind ({str(kind)[:20]!r}); kept as text")
    return "raw", source


def _condensed(source: str) -> str:
    """`source` with endless blank lines cut short."""
    if source.count("\n") <= MAX_BLANK:
        return source
    kept: list[str] = []
    blank = 0
    for line in source.split("\n"):
        blank = blank + 1 if not line.strip() else 0
        if blank <= MAX_BLANK:
            kept.append(line)
    return "\n".join(kept)
