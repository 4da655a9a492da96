"""Script and markup in outputs, written answers and exceptions; test_markup.py looks at the pages."""

from __future__ import annotations

from collections.abc import Callable

from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell

from .attack import Attack, before
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

ATTACKS = (*before("markup", MARKUP), Attack("Markdown of one's own", "markup", change=_write(*WRITTEN)))
