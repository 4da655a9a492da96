"""Reading a submitted notebook and putting it back in order before anything of it runs.

The student's answers, own cells and edits of given cells are kept; everything that belongs to the course (locked
cells, metadata, tags, ids, cell types, order) comes from the master. What had been changed is listed in `flags`, for
the instructor.
"""

from __future__ import annotations

import json
import os
import re
import stat
import warnings
from collections import defaultdict
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from ..checkout import course_secret
from .markup import safe_attachments, safe_markdown, storable

MAX_BYTES = 20 * 2**20
MAX_CELLS = 2000
MAX_TEXT = 2**20  # characters of all cells; a lesson has some 100,000
MAX_BLANK = 100  # lines in a row: highlighters take time quadratic in them
MAX_WRITTEN = 20_000, 200_000  # characters of Markdown by the student, in one cell and in all
PROTECTED = ("grade", "solution", "locked", "task", "points", "cell_type", "schema_version")


class SubmissionError(ValueError):
    """A submission that cannot be graded at all, with the reason in one line."""


@dataclass(frozen=True)
class Master:
    """A lesson as released: cells as the student got them, and the full source (hidden regions, rubric) of the locked
    ones.
    """

    lesson: str
    name: str
    released: NotebookNode
    full: dict[str, str]  # grade_id -> source with hidden tests or mark scheme
    secret: str = field(default="", repr=False)  # the course's: see `checkout.course_secret`

    @classmethod
    def load(cls, root: Path, lesson: str) -> Master:
        """Read the built notebooks of `lesson` below `root`. Raises FileNotFoundError naming the remedy."""
        name = lesson.partition("-")[2]
        paths = [root / place / lesson / f"{name}.ipynb" for place in ("notebooks", "solutions")]
        for path in paths:
            if not path.exists():
                raise FileNotFoundError(f"{path.relative_to(root)} is missing: run `course build {lesson}`")
        released, solution = (nbformat.read(path, as_version=4) for path in paths)
        locked = [c for c in solution.cells if _nbgrader(c).get("locked") or _nbgrader(c).get("task")]
        full = {_nbgrader(cell)["grade_id"]: cell.source for cell in locked}
        return cls(lesson, name, released, full, course_secret(root))


@dataclass(frozen=True)
class Restored:
    """A submission in order: the notebook, which of its cells are worth running, and what had been tampered with or
    lost.
    """

    notebook: NotebookNode
    runs: tuple[bool, ...]
    flags: tuple[str, ...]


def content(path: Path) -> bytes:
    """The bytes of a submitted file, at most one more than may be graded. Raises `SubmissionError` for what is no
    file of the student's own: a link would hand in whatever it points to, a pipe would be waited for.
    """
    try:
        if any(place.is_symlink() for place in (path, path.parent, path.parent.parent)):
            raise SubmissionError(f"{path.name} is a link, or lies in a folder that is one")
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise SubmissionError(f"{path.name} is not a file")
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise SubmissionError(f"{path.name} is missing") from None
    except OSError as error:
        raise SubmissionError(f"{path.name} cannot be read: {error.strerror}") from None


def read(path: Path) -> NotebookNode:
    """The submitted notebook, in nbformat's current version. Raises `SubmissionError`."""
    data = content(path)
    if len(data) > MAX_BYTES:
        raise SubmissionError(f"{path.name} is larger than {MAX_BYTES // 2**20} MB")
    try:
        held = json.loads(data.decode("utf-8-sig"))
    except (RecursionError, ValueError) as error:
        raise SubmissionError(f"{path.name} is not a notebook file: {str(error).splitlines()[0][:160]}") from None
    del data
    if not isinstance(held, dict) or not ({"cells", "worksheets"} & held.keys()):
        raise SubmissionError(f"{path.name} is not a notebook file: it has no cells")
    try:
        cells = _current(held)
        if len(cells) > MAX_CELLS:
            raise SubmissionError(f"{path.name} has {len(cells)} cells, more than {MAX_CELLS}")
        notebook = NotebookNode(cells=[plain(cell) for cell in cells])
    except SubmissionError:
        raise
    except Exception as error:  # as many kinds as there are malformed files
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise SubmissionError(f"{path.name} does not follow the notebook format: {reason[:160]}") from None
    if sum(len(cell.source) for cell in notebook.cells) > MAX_TEXT:
        raise SubmissionError(f"{path.name} holds more than {MAX_TEXT // 2**20} MB of text")
    return notebook


def _current(held: dict[str, Any]) -> list[Any]:
    """The cells, in nbformat 4's form. Outputs are not looked at: they count for nothing, and may be of any size."""
    version = held.get("nbformat")
    if version == 4 and isinstance(held["cells"], list):
        return held["cells"]
    if version not in (2, 3) or sum(len(sheet["cells"]) for sheet in held["worksheets"]) > MAX_CELLS:
        raise ValueError(f"version {str(version)[:20]}, or too many cells for it")
    for sheet in held["worksheets"]:
        for cell in sheet["cells"]:
            cell["outputs"] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return nbformat.reads(json.dumps(held), as_version=4).cells


def plain(cell: Any) -> NotebookNode:
    """A cell reduced to what a submission may say: type, text, id, nbgrader's metadata, tags, attached pictures."""
    kind, source = cell["cell_type"], cell["source"]
    if isinstance(source, list) and all(isinstance(line, str) for line in source):
        source = "".join(source)
    if kind not in ("code", "markdown", "raw") or not isinstance(source, str):
        raise ValueError(f"a cell of type {str(kind)[:20]!r}")
    made = NotebookNode(cell_type=kind, metadata=NotebookNode(), id=storable(str(cell.get("id", ""))[:64]))
    made["source"] = storable(_condensed(source.replace("\r\n", "\n")))
    if kind == "code":
        made["outputs"], made["execution_count"] = [], None
    metadata = cell.get("metadata", {})
    if isinstance(metadata.get("nbgrader"), dict):
        made.metadata["nbgrader"] = NotebookNode(metadata["nbgrader"])
    if isinstance(metadata.get("tags"), list):
        made.metadata["tags"] = [str(tag)[:100] for tag in metadata["tags"][:100]]
    if kind == "markdown" and isinstance(cell.get("attachments"), dict):
        made["attachments"] = NotebookNode(safe_attachments(cell["attachments"]))
    return made


def _condensed(source: str) -> str:
    """`source` with endless blank lines cut short."""
    kept: list[str] = []
    blank = 0
    for line in source.split("\n"):
        blank = blank + 1 if not line.strip() else 0
        if blank <= MAX_BLANK:
            kept.append(line)
    return "\n".join(kept)


def restore(submitted: NotebookNode, master: Master) -> Restored:
    """`submitted` with the course's own cells, metadata and order back in place."""
    flags: list[str] = []
    anchors = _match(submitted, master, flags)
    followers = _followers(submitted, anchors)
    cells, runs = list(followers[-1]), [cell.cell_type == "code" for cell in followers[-1]]
    for index, given in enumerate(master.released.cells):
        cell, run = _restored(given, anchors.get(index), master, flags)
        cells += [cell, *followers[index]]
        runs += [run, *(extra.cell_type == "code" for extra in followers[index])]
    taken = {cell["id"] for cell in master.released.cells}
    for number, cell in enumerate(own for group in followers.values() for own in group):
        if not re.fullmatch(r"[\w-]{1,64}", cell["id"]) or cell["id"] in taken:
            cell["id"] = f"own-{number}"
        taken.add(cell["id"])
    _shorten(cells, master, flags)
    version = {key: master.released[key] for key in ("nbformat", "nbformat_minor")}
    notebook = NotebookNode(cells=cells, metadata=deepcopy(master.released.metadata), **version)
    return Restored(notebook, tuple(runs), tuple(flags))


def _match(submitted: NotebookNode, master: Master, flags: list[str]) -> dict[int, NotebookNode]:
    """Which submitted cell stands for which master cell, by nbgrader's id, else by the cell's id, else by its text."""
    by_grade: dict[str, list[NotebookNode]] = defaultdict(list)
    by_id: dict[str, NotebookNode] = {}
    by_text: dict[tuple[str, str], NotebookNode] = {}
    for cell in submitted.cells:
        grade_id = _nbgrader(cell).get("grade_id")
        if isinstance(grade_id, str):
            by_grade[grade_id].append(cell)
        elif cell["id"]:
            by_id.setdefault(cell["id"], cell)
        if grade_id is None:
            by_text.setdefault((cell.cell_type, cell.source), cell)
    found: dict[int, NotebookNode] = {}
    for index, given in enumerate(master.released.cells):
        grade_id = _nbgrader(given).get("grade_id")
        if grade_id is None:
            cell = by_id.get(given["id"]) or by_text.get((given.cell_type, given.source))
            if cell is not None:
                found[index] = cell
            continue
        copies = by_grade.pop(grade_id, [])
        if not copies and given["id"] in by_id and by_id[given["id"]].cell_type == given.cell_type:
            copies = [by_id[given["id"]]]
            flags.append(f"cell {grade_id}: its nbgrader metadata had been removed; restored")
        if len(copies) > 1:
            flags.append(f"cell {grade_id} appears {len(copies)} times; the last changed copy is graded")
        edited = [cell for cell in copies if cell.source != given.source]
        if copies:
            found[index] = (edited or copies)[-1]
    flags += [f"unknown cell {grade_id[:64]!r}; kept as a cell of the student's" for grade_id in by_grade]
    return found


def _followers(submitted: NotebookNode, anchors: dict[int, NotebookNode]) -> dict[int, list[NotebookNode]]:
    """The student's own cells, each after the course's cell it followed (-1: before the first)."""
    places = {id(cell): index for index, cell in anchors.items()}
    followers: dict[int, list[NotebookNode]] = defaultdict(list)
    here = -1
    for cell in submitted.cells:
        if id(cell) in places:
            here = places[id(cell)]
        else:
            own = _harmless(cell)
            own["metadata"] = NotebookNode()
            followers[here].append(own)
    return followers


def _restored(
    given: NotebookNode, submitted: NotebookNode | None, master: Master, flags: list[str]
) -> tuple[NotebookNode, bool]:
    """The cell that is graded in the place of `given`, and whether it is worth running."""
    cell, meta, tags = deepcopy(given), _nbgrader(given), given.metadata.get("tags", [])
    name = meta.get("grade_id")
    if name is None:
        if submitted is not None:
            cell.source = _harmless(submitted, given).source
        unchanged = cell.source == given.source
        return cell, given.cell_type == "code" and not ("experiment" in tags and unchanged)
    open_to_student = meta.get("solution") and not meta.get("locked")
    if not open_to_student:
        cell.source = master.full.get(name, given.source)
    if submitted is None:
        flags.append(f"cell {name} is missing; restored")
        return cell, _worth_running(cell)
    if open_to_student:
        cell.source = _harmless(submitted, given).source
        if "attachments" in submitted and cell.cell_type == "markdown":
            cell["attachments"] = submitted["attachments"]
    elif submitted.source not in (given.source, cell.source):  # nbgrader itself puts the full source back
        flags.append(f"locked cell {name} had been changed; restored")
    if submitted.cell_type != given.cell_type:
        flags.append(f"cell {name} had been turned into {submitted.cell_type}; restored")
    theirs = _nbgrader(submitted)
    changed = [key for key in PROTECTED if theirs and theirs.get(key) != meta.get(key)]
    if changed:
        flags.append(f"cell {name}: metadata had been changed ({', '.join(changed)}); restored")
    if submitted.metadata.get("tags", []) != list(tags):
        flags.append(f"cell {name}: tags had been changed; restored")
    return cell, _worth_running(cell)


def _harmless(cell: NotebookNode, given: NotebookNode | None = None) -> NotebookNode:
    """A cell of the student's as it is kept: what others will look at is text, with no markup that could act."""
    kept = deepcopy(cell)
    if (given or cell).cell_type != "code" and (given is None or cell.source != given.source):
        kept.source = safe_markdown(cell.source)
    return kept


def _shorten(cells: list[NotebookNode], master: Master, flags: list[str]) -> None:
    """Cut Markdown of the student's that is too long to be rendered for everybody's sake."""
    given = {cell.source for cell in master.released.cells} | set(master.full.values())
    most, room = MAX_WRITTEN
    for cell in cells:
        if cell.cell_type != "markdown" or cell.source in given:
            continue
        length = min(most, room)
        room -= min(len(cell.source), length)
        if len(cell.source) > length:
            flags.append(f"cell {cell['id']}: {len(cell.source)} characters of text; cut at {length}")
            cell.source = cell.source[:length] + "\n\n[cut]"


def _worth_running(cell: NotebookNode) -> bool:
    """Code, except the graded cells: their hidden checks run outside the submission's process."""
    return cell.cell_type == "code" and not (_nbgrader(cell).get("grade") and _nbgrader(cell).get("points"))


def _nbgrader(cell: NotebookNode) -> dict[str, Any]:
    meta = cell.get("metadata", {}).get("nbgrader", {})
    return meta if isinstance(meta, dict) else {}
