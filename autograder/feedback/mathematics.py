"""Markdown with mathematics as HTML that needs no script: formulas become MathML while the page is made.

MathML is written by `latex2mathml`, whose result may hold markup and links from a formula; so its tree is written out
here, with the elements and attributes that only lay out, and text that is text. What it cannot read is shown as TeX.
"""

from __future__ import annotations

import re
import secrets
import unicodedata
from functools import cache
from html import escape, unescape
from itertools import zip_longest
from typing import Any
from urllib.parse import unquote
from xml.etree.ElementTree import Element

from latex2mathml.converter import Converter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

from .markup import MAX_LINES, MAX_MARKDOWN, Room, clean_html
from .pictures import shown

MAX_FORMULA = 2000  # characters; the longest of a lesson has some 300
MAX_BRACKETS = 50  # of LaTeX's \\[ and \\(: each is looked for to the end of the text
SIMPLE = "math mi mn mo mpadded mphantom mrow ms mspace mstyle mtable mtd mtext mtr none"
SCRIPTS = "mfrac mmultiscripts mover mprescripts mroot msqrt msub msubsup msup munder munderover"
ELEMENTS = frozenset(f"{SIMPLE} {SCRIPTS}".split())
# Attributes that lay out, and the values they may have.
ATTRIBUTES = {
    **dict.fromkeys(
        ("stretchy", "fence", "separator", "symmetric", "largeop", "movablelimits", "accent", "accentunder"),
        re.compile("true|false"),
    ),
    **dict.fromkeys(("minsize", "maxsize", "width", "lspace", "rspace"), re.compile(r"-?\d?(\.\d+)?(em|ex)")),
    "display": re.compile("block|inline"),
    "displaystyle": re.compile("true|false"),
    "form": re.compile("prefix|infix|postfix"),
    "linethickness": re.compile("0|0em"),
}
# latex2mathml's names for what it knows under others.
SPELLING = (
    (re.compile(r"\\arg(?![A-Za-z])"), r"\\operatorname{arg}"),
    (re.compile(r"\\(begin|end)\{(?:aligned|gathered)\}"), r"\\\1{split}"),
    # It reads sizes before signs alone; without one, a delimiter in MathML is as large as what it holds.
    (re.compile(r"\\[Bb]igg?[lrm]?\s*(?=\\[A-Za-z])"), ""),
    (re.compile(r"\\tag\*?\{([^{}]*)\}"), r"\\qquad\\text{(\1)}"),
)
# In Markdown's own HTML, such as <details>, mathematics is found by its dollars alone, and not in code.
IN_HTML = re.compile(
    r"(<(?:code|pre)\b.*?</(?:code|pre)>)|\$\$(.+?)\$\$|(?<![\\$])\$(?!\s)((?:[^$<>]|[<>](?=[\s\d]))+?)(?<![\\\s])\$",
    re.S,
)
TAG = r"""<(?:"[^"]*"|'[^']*'|[^<>"'])*>"""  # as bleach writes it, with all its attributes
# In a row of a table: mathematics with a bar; and the line under a table's head.
IN_ROW = re.compile(r"(?<![\\$])\$(?![\s$])([^$`\n]*?\|[^$`\n]*?)(?<![\\\s])\$(?!\d)")
RULE = re.compile(r"^ {0,3}\|?[ \t]*:?-+:?[ \t]*\|[-:| \t]*$")


def rendered(markdown: str, attachments: dict[str, Any] | None = None, room: Room | None = None) -> str:
    """Harmless HTML of a Markdown cell, mathematics included; what is beyond `MAX_MARKDOWN` characters stays text.

    Attached pictures take `room`; one that finds none is left out.
    """
    markdown, rest = _cut(markdown)
    renderer = _Renderer(attachments or {}, room or Room())
    try:
        page = clean_html(MarkdownWithMath(renderer=renderer).render(bars_in_tables(markdown)))
    except Exception:  # lists nested without end, and whatever else
        return f"<pre>{escape(markdown)}{escape(rest)}</pre>"

    mark = f"{renderer.mark}n([0-9]+)e"

    def place(found: re.Match[str]) -> str:
        return re.sub(mark, "", found[0]) if found[1] is None else renderer.kept[int(found[1])]

    page = re.sub(f"{TAG}|{mark}", place, page)
    return f"{page}<pre>{escape(rest)}</pre>" if rest else page


def _cut(markdown: str) -> tuple[str, str]:
    """What is parsed of a text, up to the end of a line, and the rest."""
    head = "".join(markdown[: MAX_MARKDOWN + 1].splitlines(keepends=True)[:MAX_LINES])
    if len(head) > MAX_MARKDOWN:
        head = head[: head.rfind("\n", 0, MAX_MARKDOWN) + 1 or MAX_MARKDOWN]
    markdown, rest = head, markdown[len(head) :]
    for bracket in (r"\\[", r"\\("):
        if markdown.count(bracket) > MAX_BRACKETS:
            markdown = markdown.replace(bracket, bracket[-1])
    return markdown, rest


def bars_in_tables(markdown: str) -> str:
    r"""`$|x|$` in a table as `$\vert x\vert$`: rows are cut at their bars before mathematics is known."""
    lines = markdown.split("\n")
    fenced = table = False
    for number, line in enumerate(lines):
        fenced ^= line.lstrip().startswith(("```", "~~~"))
        if not fenced and RULE.match(line):
            table = True
            if number:
                lines[number - 1] = IN_ROW.sub(_without_bars, lines[number - 1])
        table = table and bool(line.strip())
        if table:
            lines[number] = IN_ROW.sub(_without_bars, line)
    return "\n".join(lines)


def _without_bars(found: re.Match[str]) -> str:
    if "\\begin" in found[0]:
        return found[0]
    return found[0].replace("\\|", "\\Vert ").replace("|", "\\vert ")


class _Renderer(IPythonRenderer):
    """Leaves a mark where a formula or a picture stands, and keeps it until the HTML round it has been cleaned."""

    def __init__(self, attachments: dict[str, Any], room: Room) -> None:
        # No anchors: a heading's would be an id by the student, which the page's scripts or links might find.
        super().__init__(escape=False, attachments=attachments, exclude_anchor_links=True)
        self.kept: list[str] = []
        self.room = room
        self.mark = f"kept{secrets.token_hex(8)}"  # which nobody can write beforehand

    def _mark(self, html: str) -> str:
        self.kept.append(html)
        return f"{self.mark}n{len(self.kept) - 1}e"

    def image(self, text: str, url: str, title: str | None = None) -> str:
        """An attached picture as far as there is room, else what it would show in words."""
        words = escape(unescape(re.sub(f"<[^>]*>|{self.mark}n[0-9]+e", "", text)))
        bundle = self.attachments.get(unquote(url).removeprefix("attachment:"), {})
        kind = next(iter(bundle), "")
        if not kind:
            return words
        if not self.room.whole(bundle[kind]):
            return self._mark(f"<em>[{words}: a picture, left out: too many bytes of pictures]</em>")
        return self._mark(shown(bundle, words, title))

    def _keep(self, tex: str, display: str) -> str:
        return self._mark(formula(tex, display))

    def block_math(self, body: str) -> str:
        return self._keep(body, "block")

    def inline_math(self, body: str) -> str:
        return self._keep(body, "inline")

    def block_html(self, html: str) -> str:
        return super().block_html(self._in_html(html))

    def inline_html(self, html: str) -> str:
        return super().inline_html(self._in_html(html))

    def _in_html(self, html: str) -> str:
        def found(match: re.Match[str]) -> str:
            if match[1]:
                return match[0]
            return self._keep(unescape(match[2] or match[3]), "block" if match[2] else "inline")

        return IN_HTML.sub(found, html)

    def latex_environment(self, name: str, body: str) -> str:
        return self._keep(f"\\begin{{{name}}}{body}\\end{{{name}}}", "block")


def formula(tex: str, display: str = "inline") -> str:
    """A formula as MathML; as TeX in a `code` where it cannot be read. `display` is "inline" or "block"."""
    written = tex.strip()
    try:
        if len(written) > MAX_FORMULA:
            raise ValueError("too long")
        for name, known in SPELLING:
            written = name.sub(known, written)
        tree = Converter(display=display).convert_to_element(written)
        return _written(tree)
    except Exception:  # whatever a formula is made of
        return f"<code>{escape(tex.strip())}</code>"


def _written(element: Element) -> str:
    """The tree as text."""
    tag = element.tag if element.tag in ELEMENTS else "mrow"
    text = unescape(element.text or "")
    if re.match(r"\\[A-Za-z]", text) or (text == "&" and tag == "mi"):
        raise ValueError(f"{text} is not known")
    if text == "~" and tag == "mi":
        tag, text = "mo", "∼"  # \sim
    variant = element.get("mathvariant", "")
    attributes = {name: value for name, value in element.items() if _lays_out(name, value)}
    if variant == "normal" and tag == "mi":
        attributes["mathvariant"] = "normal"  # the only one that browsers know; the others are letters of their own
    if tag == "mtd" and (side := element.get("columnalign")) in ("left", "right", "center"):
        attributes["style"] = f"text-align:{side}"
    listed = "".join(f' {name}="{value}"' for name, value in attributes.items())
    inner = escape("".join(_letters(variant).get(letter, letter) for letter in text))
    return f"<{tag}{listed}>{inner}{_children(element)}</{tag}>"


def _children(element: Element) -> str:
    """What is in an element, with a thin space after a function's name, as in log 2."""
    written, children = [], list(element)
    for child, following in zip_longest(children, children[1:]):
        written.append(_written(child))
        named = element.tag in ("mrow", "mtd", "mstyle") and re.fullmatch("[a-z]{2,}", child.text or "")
        if child.tag == "mi" and named and following is not None and following.tag != "mo":
            written.append('<mspace width="0.17em"></mspace>')
    return "".join(written)


def _lays_out(name: str, value: str) -> bool:
    return name in ATTRIBUTES and ATTRIBUTES[name].fullmatch(value) is not None


@cache
def _letters(variant: str) -> dict[str, str]:
    """Unicode's letters of a style that MathML calls `variant`."""
    style = {"double-struck": "DOUBLE-STRUCK", "script": "SCRIPT", "bold": "BOLD", "fraktur": "FRAKTUR"}.get(variant)
    found: dict[str, str] = {}
    for code in (*range(0x2102, 0x2140), *range(0x1D400, 0x1D800)) if style else ():
        words = unicodedata.name(chr(code), "").removeprefix("MATHEMATICAL ").replace("BLACK-LETTER", "FRAKTUR")
        plain = unicodedata.normalize("NFKC", chr(code))
        if re.fullmatch(rf"{style} (CAPITAL|SMALL|DIGIT) \w+", words) and len(plain) == 1:
            found.setdefault(plain, chr(code))
    return found
