"""Script and markup in outputs, written answers and exceptions; test_markup.py looks at the pages."""

from __future__ import annotations

from collections.abc import Callable

from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell

from .attack import WRONG, Attack, before
from .notebooks import cell

MARKUP = {
    "HTML output": "display({'text/html': '<script>alert(1)</script><img src=x onerror=alert(2)>'}, raw=True)",
    "JavaScript output": "display({'application/javascript': 'alert(1)', 'text/plain': 'x'}, raw=True)",
    "SVG output": "display({'image/svg+xml': '<svg onload=alert(1)><script>alert(2)</script></svg>'}, raw=True)",
    "Markdown output": "display({'text/markdown': '<img src=x onerror=alert(1)> [x](javascript:alert(2))'}, raw=True)",
    "LaTeX output": "display({'text/latex': '$\\\\href{javascript:alert(1)}{x}$<script>alert(2)</script>'}, raw=True)",
    "widget state output": """
display({'application/vnd.jupyter.widget-view+json': {'model_id': '</script><script>alert(1)'}}, raw=True)""",
    "picture that breaks out": "display({'image/png': 'x\\\" onerror=alert(1) a=\\\"'}, raw=True)",
    "picture's width": """
display({'image/png': 'AAAA'}, metadata={'image/png': {'width': '1 onerror=alert(1)'}}, raw=True)""",
    "stream": "print('<script>alert(1)</script>\\x1b]8;;javascript:alert(2)\\x07x\\x1b]8;;\\x07')",
    "exception's name and text": """
def tiny_double(x):
    raise type('<script>alert(1)</script>', (Exception,), {})('<img src=x onerror=alert(2)>')
E = type('<script>alert(3)</script>', (Exception,), {})
raise E('<script>alert(4)</script>')""",
    "isolated HTML": """
display({'text/html': '<script>alert(1)</script>'}, metadata={'text/html': {'isolated': True}}, raw=True)""",
    "file name of a picture": """
display({'image/png': 'AAAA'}, metadata={'filenames': {'image/png': 'x onerror=alert(1)'}}, raw=True)""",
}


def _write(*texts: str) -> Callable[[NotebookNode], None]:
    def change(notebook: NotebookNode) -> None:
        cell(notebook, "title").source = texts[0]
        notebook.cells += [new_markdown_cell(text) for text in texts]

    return change


WRITTEN = (
    "<script>alert(1)</script> <IMG SRC=x onerror=alert(2)> <svg/onload=alert(3)> <iframe src=javascript:alert(4)>",
    "[a](javascript:alert(1)) [b](java&#115;cript:alert(2)) [c]( <javascript:alert(3)>) ![d](javascript:alert(4))",
    "[e]\n\n[e]: javascript:alert(1)\n\n<javascript:alert(2)> [f]:\n  javascript:alert(3)",
    "<details open ontoggle=alert(1)>x</details> <b onmouseover=alert(2)>y</b> <style>*{position:fixed}</style>",
    "$\\href{javascript:alert(1)}{x}$ $x<script>alert(2)</script>y$",
    "\\begin{align}<img src=x onerror=alert(3)>\\end{align}",
    "`<script>alert(1)</script>`\n\n```\n</code></pre><script>alert(2)</script>\n```\n\n    <script>alert(3)</script>",
    "<!-- x --><meta http-equiv=refresh content='0;url=javascript:alert(1)'><base href=//evil><form action=//evil>",
    '[x](https://a.b/"onmouseover=alert(1)) ![y](attachment:x"onerror=alert(2))',
)

# What would lie over the rest of a page by the page's own style sheet, by a style, by an id, or by sheer size.
OVERLAYS = {
    "classes that are fixed": "<div class='navbar-fixed-top navbar modal-backdrop in alert'>12 / 12</div>",
    "a link over everything": "<a class='carousel-control right modal-backdrop' href='https://a.b'>12 / 12</a>",
    "a dialog of its own": "<div class='modal in tooltip popover' id='notebook-container'><h4>12 / 12</h4></div>",
    "styles": "<div style='position:fixed;top:0;left:0;width:100vw;height:100vh;margin:-999px;z-index:9'>12 / 12</div>",
    "margins": "<p style='margin:-600px 0 0 -600px;width:3000px;background-color:red'>12 / 12</p>",
    "a wide picture": "<img width='5000' height='5000' src='data:image/gif;base64,R0lGODlhAQABAAAAACw='>",
    "names of the page's places": "<a name='tiny_double-graded' id='tiny_double-graded'>x</a><h1 id='toc'>12 / 12</h1>",
    "marks piled on a letter": "<p>" + "o" + "\u030d" * 400 + "</p><p>" + "o" + "\u0e49" * 400 + "</p>",
    "tables without an end": "</div></div></td></tr></table></div><table><tr><td colspan='999' class='score'>12 / 12",
    "mathematics in HTML": "<p>$\\style{position:fixed;top:0;left:0}{12/12}$ $\\class{navbar-fixed-top}{x}$</p>",
}
OVERLAID = (
    "# tiny_double-graded\n\n# toc\n\nnotebook-container\n===\n",
    "$\\hspace{-99em}\\mspace{-9em}\\! x \\kern-9em y$ and $$\\raise{99em}{x}\\smash{\\Huge x}\\rule{99em}{99em}$$",
    "$\\style{position:fixed;top:0}{x}\\class{navbar-fixed-top}{x}\\cssId{toc}{x}\\def\\log{12/12}$",
    "o" + "\u030d" * 400 + " " + "x" * 3000 + "\n\n    " + "x" * 3000,
    "<details><summary>" * 9 + "x",
)


def _overlay() -> Attack:
    """All of them at once; nothing of it changes what is earned."""
    shown = "".join(f"display({{'text/html': {html!r}}}, raw=True)\n" for html in OVERLAYS.values())
    return Attack("overlays", "markup", f"{shown}print('o' + '\\u030d' * 400)\n{WRONG}", change=_add(*OVERLAID))


def _add(*texts: str) -> Callable[[NotebookNode], None]:
    def change(notebook: NotebookNode) -> None:
        notebook.cells[3:3] = [new_markdown_cell(text) for text in texts]

    return change


ATTACKS = (*before("markup", MARKUP), _overlay(), Attack("Markdown of one's own", "markup", change=_write(*WRITTEN)))
