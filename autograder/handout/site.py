"""`course site`: the lessons without solutions, and the guides, as a static site, by Sphinx, MyST-NB and Furo.

Pages are made of the student notebooks, of which nothing is run. Pictures come from the built lesson, and nothing else
that depends on an answer: code of a cell that the student writes, text that its cell printed, marks and hidden checks
have no way in. Formulas become MathML as on feedback pages, so a page needs no script to show them, and no network.
"""

from __future__ import annotations

import base64
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html import escape
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell

from ..builder.names import cell_names
from ..builder.source import parse
from ..cells import exercise_graded_in, nbgrader
from ..feedback.mathematics import bars_in_tables, rendered
from .answers import Asked, asked_for, gives_away

HERE = Path(__file__).resolve().parent
GUIDES = {
    "README.md": "guide",
    "CONTRIBUTING.md": "contributing",
    "docs/authoring.md": "authoring",
    "docs/samplers.md": "samplers",
    "docs/threat-model.md": "threat-model",
}  # files of the checkout, and the pages they become
DETAILS = re.compile(r"^<details>.*?</details>[ \t]*$", re.S | re.M)
HEADING = re.compile(
    r"^### (Exercise|Step|Question): (.*?) · (●[●○]*)(?: · (\d+) minutes?)?(?: · (.*?) points?)?$", re.M
)
PLAIN = re.compile(r'<span class="(?:n|p|o)">([^<]*)</span>')  # names and signs have no colour: a third of a page
LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)#:\s]+)(#[^)]*)?\)")


ATTACHED = re.compile(r"!\[([^\]]*)\]\(attachment:([^)]+)\)")
NEEDED = ("sphinx", "myst_nb", "furo")  # what the extra `site` installs


class SiteError(Exception):
    """The site cannot be built; the message says why."""


def site(root: Path, lessons: list[Path], to: Path, folder: Path) -> Path:
    """Build the site of the `lessons` (sources) of the checkout at `root` into `to`, by way of `folder`.

    Raises SiteError with Sphinx's warnings: a link that leads nowhere, a page that cannot be read; or where `to` holds
    something else than an earlier site.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise SiteError(f"{', '.join(missing)} not installed: pip install -c constraints.txt -e '.[site]'")
    if to.exists() and not (to / "searchindex.js").is_file() and (not to.is_dir() or any(to.iterdir())):
        raise SiteError(f"{to} holds something else than a site: name another folder")
    asked = asked_for(root)
    pages = {
        f"notebooks/{source.parent.name}/{source.stem}.ipynb": f"lessons/{source.parent.name}" for source in lessons
    }
    pages |= {name: page for name, page in GUIDES.items() if (root / name).is_file()}
    (folder / "lessons").mkdir(parents=True)
    for name in ("conf.py", "site.css", "icon.svg"):
        shutil.copyfile(HERE / "theme" / name, folder / name)
    catalogue = []
    for source in lessons:
        lesson = source.parent.name
        student, built = (
            nbformat.read(root / kind / lesson / f"{source.stem}.ipynb", as_version=4)
            for kind in ("notebooks", "solutions")
        )
        catalogue.append(rows(lesson, student))
        for cell in student.cells:
            if cell.cell_type == "markdown":
                cell.source = linked(cell.source, Path("notebooks", lesson), pages, up="../")
        made = lesson_page(lesson, student, built, asked, folder / "extra/pictures")
        nbformat.write(made, folder / "lessons" / f"{lesson}.ipynb")
    for name, page in pages.items():
        if name in GUIDES:
            text = linked((root / name).read_text(encoding="utf-8"), Path(name).parent, pages)
            (folder / f"{page}.md").write_text(bars_in_tables(text), encoding="utf-8")
            for picture in (root / name).parent.glob("*.png"):
                shutil.copyfile(picture, folder / picture.name)
    (folder / "exercises.md").write_text("# All exercises\n\n" + "\n".join(catalogue), encoding="utf-8")
    (folder / "index.md").write_text(front_page(root, pages), encoding="utf-8")
    command = [sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", "--keep-going", "-b", "html"]
    html = folder / "html"
    done = subprocess.run([*command, str(folder), str(html)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SiteError(done.stderr.replace(f"{folder}/", "").strip() or f"sphinx failed: {done.returncode}")
    for needless in (".doctrees", ".buildinfo", "_sources", "objects.inv"):
        path = html / needless
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    for path in html.rglob("*.map"):
        path.unlink()
    for path in html.rglob("*.html"):
        path.write_text(PLAIN.sub(r"\1", path.read_text(encoding="utf-8")), encoding="utf-8")
    if to.exists():
        shutil.rmtree(to)
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(html, to)
    return to


def front_page(root: Path, pages: dict[str, str]) -> str:
    """README's first lines, and the table of contents that the side bar shows."""
    readme = (root / "README.md").read_text(encoding="utf-8")
    title, words = readme.split("\n\n")[:2]
    lessons = "\n".join(page for page in pages.values() if page.startswith("lessons/"))
    guides = "\n".join(page for page in pages.values() if not page.startswith("lessons/"))
    said = (
        "Here are the lessons without solutions. Pictures that need your answers are folded: predict before you "
        "unfold. To work through a lesson, run its notebook."
    )
    listed = [("Lessons", lessons), ("Around them", f"exercises\n{guides}")]
    trees = [f"```{{toctree}}\n:caption: {head}\n:maxdepth: 1\n\n{inside}\n```" for head, inside in listed]
    return "\n\n".join([title, words, said, *trees, ""])


def linked(text: str, folder: Path, pages: dict[str, str], up: str = "") -> str:
    """Markdown of the checkout's `folder` whose links lead to the site's pages; those to what it has not are words.

    `up` leads from the page to the site's front page.
    """

    def lead(found: re.Match[str]) -> str:
        words, target, anchor = found[1], found[2], found[3] or ""
        parts: list[str] = []
        for part in (folder / target).parts:
            parts = parts[:-1] if part == ".." else [*parts, part]
        page = pages.get("/".join(parts))
        return (
            f'<a href="{up}{page}.html{anchor}">{rendered(words).strip().removeprefix("<p>").removesuffix("</p>")}</a>'
            if page
            else words
        )

    return LINK.sub(lead, text)


def lesson_page(lesson: str, student: NotebookNode, built: NotebookNode, asked: Asked, pictures: Path) -> NotebookNode:
    """The student notebook as a page, with the built lesson's pictures; these go to `pictures/<lesson>/`."""
    shown = {cell.id: cell for cell in built.cells}
    needing: set[str] = set()  # names that an answer is behind
    cells: list[NotebookNode] = []
    for cell in student.cells:
        if cell.cell_type == "markdown":
            cells.append(new_markdown_cell(prose(with_pictures(cell, pictures / lesson)), id=cell.id))
            continue
        if exercise_graded_in(cell):
            continue
        if gives_away(cell, lesson, asked):
            words = cell.source.splitlines()[0].removeprefix("#").strip()
            cells.append(new_markdown_cell(f"*{words}: as you wrote it there; the notebook has it.*", id=cell.id))
            continue
        names = cell_names(parse(cell.source))
        leans = bool(nbgrader(cell)) or bool(names.needed & needing)
        needing |= names.bound if leans else set()
        cells.append(code(cell))
        if nbgrader(cell) or cell.id not in shown or shown[cell.id].source != cell.source:
            continue
        if not leans:
            cells[-1].outputs = [output for output in shown[cell.id].outputs if output.output_type == "stream"]
        figures = "".join(figure(one, pictures / lesson) for one in drawn(shown[cell.id]))
        if figures and leans:
            figures = f"<details><summary>What came out, with right answers above</summary>{figures}</details>"
        if figures:
            cells.append(new_markdown_cell(figures, id=f"{cell.id}-out"[:64]))
    metadata = {"kernelspec": student.metadata.kernelspec, "language_info": student.metadata.language_info}
    return nbformat.v4.new_notebook(cells=cells, metadata=metadata)


def with_pictures(cell: NotebookNode, folder: Path) -> str:
    """A text with what is attached to it, which MyST does not look for, as files in `folder`."""

    def shown(found: re.Match[str]) -> str:
        words, name = found.groups()
        return figure((name, base64.b64decode(cell.attachments[name]["image/png"]), {"alt": words}), folder)

    return ATTACHED.sub(shown, cell.source)


def code(cell: NotebookNode) -> NotebookNode:
    """A code cell as it is shown: folded under its first line where a student's is, without outputs."""
    made = nbformat.v4.new_code_cell(cell.source, id=cell.id)
    if cell.metadata.get("jupyter", {}).get("source_hidden"):
        made.metadata.tags = ["hide-input"]
        made.metadata.mystnb = {"code_prompt_show": cell.source.splitlines()[0].removeprefix("#").strip()}
    return made


def prose(markdown: str) -> str:
    """Markdown for MyST: bars in tables, mathematics in what is folded, a place for each exercise."""
    folded: list[str] = []

    def fold(found: re.Match[str]) -> str:
        folded.append(rendered(found[0]).replace("\n\n", "\n"))
        return f"\n\n{folded[-1].strip()}\n\n"

    def place(found: re.Match[str]) -> str:
        return "".join(f'<span id="{name}"></span>' for name in named(found)) + f"\n\n{found[0]}"

    text = HEADING.sub(place, markdown)
    return DETAILS.sub(fold, bars_in_tables(text))


def named(heading: re.Match[str]) -> list[str]:
    """The exercises that a heading names."""
    return [f"ask-{name}" for name in re.findall(r"`(\w+)`", heading[2])]


def rows(lesson: str, student: NotebookNode) -> str:
    """The lesson's table in the catalogue of exercises."""
    text = "\n\n".join(cell.source for cell in student.cells if cell.cell_type == "markdown")
    title = re.search(r"^# (.*)$", text, re.M)
    head = ["", "| | what | difficulty | minutes | points |", "|---|---|---|---|---|"]
    lines = []
    for found in HEADING.finditer(text):
        kind, what, dots, minutes, points = found.groups()
        place = f"lessons/{lesson}.html#{(named(found) or [''])[0]}"
        words = re.sub(r"`(\w+)`", r"<code>\1</code>", what)
        lines.append(f'| {kind} | <a href="{place}">{words}</a> | {dots} | {minutes or ""} | {points or ""} |')
    return "\n".join([f"## {title[1] if title else lesson}", *head, *lines, ""])


def drawn(cell: NotebookNode) -> Iterator[tuple[str, bytes, dict[str, Any]]]:
    """Each picture that a cell shows: a name, its bytes, and what is said about it."""
    for number, output in enumerate(cell.outputs):
        if picture := output.get("data", {}).get("image/png"):
            about = output.metadata.get("image/png", {})
            yield f"{cell.id}-{number}.png", base64.b64decode(picture), about


def figure(picture: tuple[str, bytes, dict[str, Any]], folder: Path) -> str:
    """A picture's file, and the HTML that shows it."""
    name, content, about = picture
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    alt, sizes = escape(str(about.get("alt", "")), quote=True), ""
    if about.get("width") and about.get("height"):
        sizes = f' width="{int(about["width"])}" height="{int(about["height"])}"'
    return f'<img class="figure" src="../pictures/{folder.name}/{name}" alt="{alt}"{sizes} loading="lazy">'
