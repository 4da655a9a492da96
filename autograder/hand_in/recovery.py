"""Finding a lesson's cells in what was handed in, whatever an editor has dropped, split, joined or moved.

By nbgrader's id first, then by the cell's own id, its text, the function or class that it defines, and its place.
"""

from __future__ import annotations

from collections.abc import Iterable, Set
from dataclasses import dataclass, field

from nbformat import NotebookNode

from ..cells import grade_id, nbgrader, open_to_students, place
from .definitions import bare, defined, half, joined

MANY = 4  # cells without metadata: from here on one remark tells of all


@dataclass
class Matched:
    """`cells`: by the index of the course's cell, the one that stands for it. `gone`: ids (of Python) of cells that are
    part of these, or copies. `elsewhere`: course's cells whose name another cell defines, so that their stub is not
    run.
    """

    cells: dict[int, NotebookNode] = field(default_factory=dict)
    gone: set[int] = field(default_factory=set)
    elsewhere: set[int] = field(default_factory=set)


def match(
    submitted: list[NotebookNode],
    given: list[NotebookNode],
    full: dict[str, str],
    flags: list[str],
    lacking: Set[str] = frozenset(),
) -> Matched:
    """Which submitted cell stands for which of the course's; what had been lost, doubled or moved joins `flags`. What
    the release of whoever handed in was `lacking` is found by nbgrader's id or its text, and not guessed.
    """
    return _Search(submitted, given, full, flags, lacking).matched()


class _Search:
    def __init__(
        self,
        submitted: list[NotebookNode],
        given: list[NotebookNode],
        full: dict[str, str],
        flags: list[str],
        lacking: Set[str],
    ) -> None:
        self.submitted, self.given, self.full, self.flags, self.lacking = submitted, given, full, flags, lacking
        self.place = {id(cell): number for number, cell in enumerate(submitted)}
        self.names = [nbgrader(cell).get("grade_id") for cell in given]
        self.copies: dict[str, list[NotebookNode]] = {}
        self.found = Matched()
        self.lost: list[str] = []
        self._defined: dict[int, set[str]] = {}
        self._made: list[NotebookNode] = []  # kept, so that no other object gets its id

    def matched(self) -> Matched:
        self._by_grade_id()
        self._by_id_or_text()
        asked = [place(grade_id(cell))[0] not in self.lacking for cell in self.given]
        answers = [i for i, cell in enumerate(self.given) if asked[i] and open_to_students(cell)]
        code = [index for index in answers if self.given[index].cell_type == "code"]
        for index in code:
            if index not in self.found.cells:
                self._by_definition(index)
        for index in answers:
            if index not in self.found.cells:
                self._by_place(index)
        for index in code:
            if index in self.found.cells:
                self._whole(index)
        for index in code:
            self._elsewhere(index)
        self._tell_lost()
        return self.found

    # ---- one way of finding each

    def _by_grade_id(self) -> None:
        known = {name: index for index, name in enumerate(self.names) if name is not None}
        unknown: dict[str, None] = {}
        for cell in self.submitted:
            name = nbgrader(cell).get("grade_id")
            if isinstance(name, str):
                if name in known:
                    self.copies.setdefault(name, []).append(cell)
                else:
                    unknown[name] = None
        for name, copies in self.copies.items():
            self._take(known[name], self._one_of(self.given[known[name]], name, copies))
        self.flags += [f"unknown cell {name[:64]!r}; kept as a cell of the student's" for name in unknown]

    def _one_of(self, given: NotebookNode, name: str, copies: list[NotebookNode]) -> NotebookNode:
        """The copy that counts, of several with one id."""
        self.found.gone |= {id(copy) for copy in copies}
        if len(copies) == 1:
            return copies[0]
        edited = [cell for cell in copies if cell.source != given.source] or copies[-1:]
        places = [self.place[id(cell)] for cell in edited]
        if len(edited) > 1 and places == list(range(places[0], places[-1] + 1)) and open_to_students(given):
            whole = "\n\n".join(c.source for c in edited) if given.cell_type == "markdown" else _joined(edited)
            if whole is not None:
                self.flags.append(f"cell {name} appears {len(copies)} times, one after the other; they were joined")
                return self._with_source(edited[-1], whole, edited)
        self.flags.append(f"cell {name} appears {len(copies)} times; the last changed copy that defines it is graded")
        return ([cell for cell in edited if name in self._names(cell)] or edited)[-1]

    def _by_id_or_text(self) -> None:
        by_id: dict[str, NotebookNode] = {}
        by_text: dict[tuple[str, str], list[NotebookNode]] = {}
        for cell in self._free():
            if cell["id"]:
                by_id.setdefault(cell["id"], cell)
            by_text.setdefault((cell.cell_type, cell.source), []).append(cell)
        for index, given in enumerate(self.given):
            name = self.names[index]
            if index in self.found.cells:
                continue
            same = by_id.get(given["id"])
            texts = dict.fromkeys((given.source, self.full.get(str(name), given.source)))
            equal = [cell for text in texts for cell in by_text.get((given.cell_type, text), []) if self._is_free(cell)]
            if same is not None and self._is_free(same) and self._may_be(same, given, name):
                self._take(index, same, lost=name)
            elif equal:
                self._take(index, equal[0], lost=name)

    def _may_be(self, cell: NotebookNode, given: NotebookNode, name: str | None) -> bool:
        """Whether a cell with the right id is the one: ids are given twice, and the answer may stand elsewhere."""
        if name is None:
            return True
        if cell.cell_type != given.cell_type:
            return False
        if not open_to_students(given) or given.cell_type != "code" or name in self._names(cell):
            return True
        return not any(name in self._names(other) for other in self._free())

    def _by_definition(self, index: int) -> None:
        name = str(self.names[index])
        definers = [cell for cell in self._free() if name in self._names(cell)]
        if definers and not any(name in self._names(cell) for cell in self._answers()):
            self._take(index, definers[-1], lost=name)

    def _by_place(self, index: int) -> None:
        """The cells between the neighbours, where they can be an answer."""
        before = max((self.place[id(c)] for i, c in self._standing() if i < index), default=-1)
        after = min((self.place[id(c)] for i, c in self._standing() if i > index), default=len(self.submitted))
        kinds = ("code",) if self.given[index].cell_type == "code" else ("markdown", "raw")
        between = [c for c in self.submitted[before + 1 : after] if self._is_free(c) and c.cell_type in kinds]
        between = [cell for cell in between if cell.source.strip()]
        if kinds == ("code",):
            between = [cell for cell in between if self._names(cell) or str(self.names[index]) in cell.source]
            between = [] if self._named_by_others(str(self.names[index]), None) else between
        if not between:
            return
        if kinds == ("code",):
            self._take(index, between[-1], lost=self.names[index])
        else:
            whole = "\n\n".join(cell.source for cell in between)
            self.found.gone |= {id(cell) for cell in between}
            self._take(index, self._with_source(between[0], whole, between), lost=self.names[index])

    # ---- what an answer is made of

    def _whole(self, index: int) -> None:
        """Join an answer with the other half of it, which lost its metadata when the cell was split."""
        name, cell = str(self.names[index]), self.found.cells[index]
        here = self.place[id(cell)]
        parts = [cell]
        for step in (1, -1):
            other = here + step
            while 0 <= other < len(self.submitted) and len(parts) < MANY and self._is_free(self.submitted[other]):
                near = self.submitted[other]
                tried = [*parts, near] if step == 1 else [near, *parts]
                whole = _joined(tried)
                if near.cell_type != "code" or whole is None or not (half(near.source) or half(_text(parts))):
                    break
                if name not in defined(whole):
                    break
                parts, other = tried, other + step
        if len(parts) > 1:
            self.flags.append(f"cell {name} had been split into {len(parts)}; they were joined")
            self.found.gone |= {id(part) for part in parts}
            self.found.cells[index] = self._with_source(cell, _text(parts), parts)

    def _elsewhere(self, index: int) -> None:
        """A stub as it was released, or a cell that is gone, must not override an answer in another cell."""
        name, given, cell = str(self.names[index]), self.given[index], self.found.cells.get(index)
        if cell is not None and bare(cell.source) != bare(given.source):
            return
        if self._named_by_others(name, cell):
            self.found.elsewhere.add(index)
            state = "is missing" if cell is None else "is as it was released"
            self.flags.append(f"cell {name} {state}, and another cell defines {name}: that one counts")

    def _named_by_others(self, name: str, own: NotebookNode | None) -> bool:
        others = [*self._answers(), *(cell for cell in self._free() if cell.cell_type == "code")]
        stubs = {cell.source for cell in self.given}
        others = [cell for cell in others if cell is not own and cell.source not in stubs]
        return any(name in self._names(cell) for cell in others)

    # ---- helpers

    def _take(self, index: int, cell: NotebookNode, lost: str | None = None) -> None:
        self.found.cells[index] = cell
        self.found.gone.add(id(cell))
        if lost is not None:
            self.lost.append(lost)

    def _with_source(self, cell: NotebookNode, source: str, parts: Iterable[NotebookNode]) -> NotebookNode:
        made = NotebookNode({**cell, "source": source})
        attachments = {key: value for part in parts for key, value in part.get("attachments", {}).items()}
        if attachments:
            made["attachments"] = NotebookNode(attachments)
        self.place[id(made)] = self.place[id(cell)]
        self._made.append(made)
        return made

    def _free(self) -> list[NotebookNode]:
        return [cell for cell in self.submitted if self._is_free(cell)]

    def _is_free(self, cell: NotebookNode) -> bool:
        return id(cell) not in self.found.gone

    def _standing(self) -> list[tuple[int, NotebookNode]]:
        return list(self.found.cells.items())

    def _answers(self) -> list[NotebookNode]:
        """The cells found for answers in code, and given cells that a student has edited."""
        return [c for i, c in self._standing() if self.given[i].cell_type == "code" and not self._locked(i)]

    def _locked(self, index: int) -> bool:
        return self.names[index] is not None and not open_to_students(self.given[index])

    def _names(self, cell: NotebookNode) -> set[str]:
        """What a cell defines; a text only where all of it is code."""
        if id(cell) not in self._defined:
            source = cell.source
            text = cell.cell_type != "code" and joined([source]) is None
            self._defined[id(cell)] = set() if text else defined(source)
        return self._defined[id(cell)]

    def _tell_lost(self) -> None:
        if len(self.lost) < MANY:
            self.flags += [f"cell {name}: its nbgrader metadata had been removed; restored" for name in self.lost]
        else:
            self.flags.append(
                f"the nbgrader metadata of {len(self.lost)} cells had been lost; they were found again by id, text, "
                "definition or place"
            )


def _text(cells: list[NotebookNode]) -> str:
    return "\n".join(cell.source for cell in cells)


def _joined(cells: list[NotebookNode]) -> str | None:
    return joined(cell.source for cell in cells)
