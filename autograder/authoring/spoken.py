"""A formula as one would read it aloud: LaTeX, a docstring's plain text and code come out alike.

`\\sqrt{\\bar\\alpha_t}\\, x_0` and `sqrt(alpha_bar_t) x_0` are both "sqrtalphabartx0". Brackets, spaces, underscores,
products, expectations and a function's arguments (x_t, t) are left out, so that what is found is the arithmetic.
"""

from __future__ import annotations

import re

_MARKS = {"hat": "hat", "bar": "bar", "tilde": "~"}
_WORDS = {"epsilon": "eps", "mid": "|", "cdot": "", "ell": "l", "odot": ""}


def spoken(text: str) -> str:
    """The text without all that differs between ways to write one formula."""
    text = re.sub(r"\\(left|right|big+l?r?|Big+l?r?|quad|qquad|tag\{[^}]*\}|text\{[^}]*\}|[,;!: ])", " ", text)
    text = re.sub(r"\\[dt]?frac\s*(\d|\{)", r"\\frac\1", text)
    text = re.sub(r"\\frac(\d)(\w)", r"\\frac{\1}{\2}", text)
    text = _fractions(text)
    text = re.sub(r"\\(sum|prod|int)_\{(\w+)[^}]*\}(\^(\{[^}]*\}|\w|\\infty))?", r"\1_\2 ", text)
    text = re.sub(r"\\mathbb\s*E(_(\{[^}]*\}|\\?\w+))?|\bE_?q?(?=\[)", " ", text)
    text = re.sub(r"\\hat\s*x_0", "x0_hat", text)
    marked = r"\\(hat|bar|tilde)\s*(?:\{\s*)?\\?(\w+?)(?=[_\W]|$)"
    text = re.sub(marked, lambda found: found[2] + _MARKS[found[1]], text)
    text = re.sub(r"\\(?:mathrm|mathcal|mathbf|operatorname)\s*\{?(\w+)\}?", r"\1", text)
    text = re.sub(r"\\([a-zA-Z]+)", lambda found: _WORDS.get(found[1], found[1]), text)
    text = re.sub(r"\(x_?t\s*,\s*t\)", "", text)
    text = text.replace("epsilon", "eps").replace(" given ", "|").replace("**", "^")
    return re.sub(r"[\s(){}\[\]*$\\&_]", "", text).rstrip(".,;:")


def _fractions(text: str) -> str:
    """`\\frac{a}{b}` as `a/b`, from the innermost outwards."""
    inner = r"\{((?:[^{}]|\{[^{}]*\})*)\}"
    while (new := re.sub(rf"\\frac\s*{inner}\s*{inner}", r"(\1)/(\2)", text)) != text:
        text = new
    return text
