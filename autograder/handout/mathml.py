"""A Sphinx extension: formulas as MathML, as on feedback pages, and the numbers of `\\tag` in the margin."""

from __future__ import annotations

import re
from html import escape
from typing import Any, NoReturn

from docutils import nodes

from ..feedback.mathematics import formula

_TAG = re.compile(r"\\tag\*?\{([^{}]*)\}")


def setup(app: Any) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_html_math_renderer("mathml", (inline, None), (displayed, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def inline(writer: Any, node: Any) -> NoReturn:
    """A formula in a line."""
    writer.body.append(formula(node.astext()))
    raise nodes.SkipNode


def displayed(writer: Any, node: Any) -> NoReturn:
    """A displayed formula and its number."""
    writer.body.append(equation(node.astext()))
    raise nodes.SkipNode


def equation(tex: str) -> str:
    """HTML of a displayed formula; `\\tag{3}` becomes (3) beside it, once."""
    number = "".join(f'<span class="number">({escape(tag)})</span>' for tag in _TAG.findall(tex))
    return f'<div class="equation">{formula(_TAG.sub("", tex), "block")}{number}</div>'
