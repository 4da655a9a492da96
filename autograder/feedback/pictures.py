"""Pictures in what a student wrote: whatever way they were put in, they become attachments of their cell.

A drawing may come as an attachment, as a `data:` address in Markdown, or in an `<img>` with a size. All are written as
`![words](attachment:picture-1f3a.png "width 300")`, which the feedback page and formgrader show alike, and the text is
short again. The size stands in the title: Markdown has no other place for it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote

# What editors call a kind of picture, and its name here; all are shown by `<img>`, in which nothing acts.
KINDS = {kind: f"image/{kind}" for kind in ("png", "jpeg", "gif", "webp", "svg+xml")}
KINDS |= {"jpg": KINDS["jpeg"], "pjpeg": KINDS["jpeg"], "x-png": KINDS["png"], "svg": KINDS["svg+xml"]}
MAX_PICTURE = 6 * 2**20  # characters of one picture in base64
MAX_PICTURES = 40  # of one cell, and as often named
MAX_TEXT = 50_000  # characters of a cell besides its pictures that are looked through
SIGN = re.compile("attachment:|data:image/", re.I)
DATA = re.compile(
    r"data:image/([\w.+-]{1,20})(?:;[\w=-]{1,40})*;base64,([A-Za-z0-9+/=]*(?:%(?:2B|2F|3D)[A-Za-z0-9+/=]*)*)", re.I
)
LIST = r"(?:[^\[\]\n]|\[[^\[\]\n]*\])"
TITLE = r"""(?:[ \t]+(?:"[^"\n]*"|'[^'\n]*'|\([^()\n]*\)))?"""
INLINE = re.compile(rf"!\[({LIST}{{0,500}})\]\([ \t]*<?attachment:([^)>\"'\n]{{0,300}}?)>?{TITLE}[ \t]*\)", re.I)
DEFINED = re.compile(rf"^ {{0,3}}\[([^\]\n]{{1,300}})\]:[ \t]*<?attachment:(picture-\w+\.\w+)>?{TITLE}[ \t]*$", re.M)
REFERRED = re.compile(rf"!\[({LIST}{{0,500}})\](?:[ \t]?\[([^\]\n]{{0,300}})\])?(?!\()")
TAG = re.compile(r"""(^[ \t]*)?<img\b((?:"[^"]{0,300}"|'[^']{0,300}'|[^>"']){0,300})>([ \t]*$)?""", re.I | re.M)
ATTRIBUTE = re.compile(r"""([\w-]+)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""")
ENCODED = re.compile(r"[A-Za-z0-9+/]+={0,2}")
SIZE = re.compile(r"\s*(\d{1,4})(?:\.\d*)?\s*(?:px)?\s*$")
SIZED = re.compile(r"(?:width (\d{1,4}))?(?:, )?(?:height (\d{1,4}))?")


class Pictures:
    """The pictures of one cell, by the names they are given here."""

    def __init__(self, attachments: Any) -> None:
        self.kept: dict[str, dict[str, str]] = {}
        self.remarks: list[str] = []
        self._names: dict[str, str] = {}  # as attached -> as kept
        self._room = MAX_PICTURES
        for name, bundle in attachments.items() if isinstance(attachments, Mapping) else ():
            self._take_attached(str(name), bundle)

    def written(self, source: str) -> str:
        """`source` with every picture as an attachment, and words in the place of one that cannot be shown."""
        if not SIGN.search(source):
            return source
        source = DATA.sub(lambda found: self._named(found[1], unquote(found[2])), source)
        if len(source) > MAX_TEXT:
            return source
        for name in sorted(self._names, key=len, reverse=True):
            for spelling in dict.fromkeys((name, quote(name), name.replace(" ", "%20"))):
                source = re.sub(
                    rf"attachment:{re.escape(spelling)}(?![\w.])", f"attachment:{self._names[name]}", source
                )
        source = TAG.sub(self._from_tag, source)
        labels = {found[1].casefold(): found[2] for found in DEFINED.finditer(source)}
        if labels:
            source = DEFINED.sub("", source)
            source = REFERRED.sub(lambda found: self._referred(found, labels), source)
        return INLINE.sub(self._from_markdown, source)

    def _take_attached(self, name: str, bundle: Any) -> None:
        for kind, data in bundle.items() if isinstance(bundle, Mapping) else ():
            kind = str(kind).lower().removeprefix("image/")
            data = "".join(data) if isinstance(data, list) and all(isinstance(part, str) for part in data) else data
            if isinstance(data, str) and (kept := self._keep(kind, "".join(data.split()))):
                self._names[name] = kept
                return

    def _named(self, kind: str, data: str) -> str:
        kept = self._keep(kind.lower(), data)
        return f"attachment:{kept}" if kept else "attachment:"

    def _keep(self, kind: str, data: str) -> str:
        """The name under which a picture is kept; "" if it is not."""
        if kind not in KINDS:
            self.remarks.append(f"a picture of kind {kind[:20]!r} is not shown")
        elif len(data) > MAX_PICTURE or len(self.kept) >= MAX_PICTURES:
            self.remarks.append(
                f"pictures larger than {MAX_PICTURE * 3 // 2**22} MB, or more than {MAX_PICTURES}, are not shown"
            )
        elif data and ENCODED.fullmatch(data):
            bundle = {KINDS[kind]: data}
            # Named by what it shows: the same in every cell, so that cells can be joined.
            digest = hashlib.sha256(data.encode()).hexdigest()[:12]
            name = f"picture-{digest}.{KINDS[kind].removeprefix('image/').partition('+')[0]}"
            self.kept[name] = bundle
            return name
        return ""

    def _written(self, words: str, name: str, title: str = "") -> str:
        words = re.sub(r"[\[\]()<>`!\\|$*_\s]+", " ", words).strip()[:200]
        self._room -= 1
        if name not in self.kept or self._room < 0:
            return f"(the picture {words} is not there)" if words else "(a picture that is not there)"
        return f'![{words}](attachment:{name} "{title}")' if title else f"![{words}](attachment:{name})"

    def _from_markdown(self, found: re.Match[str]) -> str:
        size = re.search(rf'"({SIZED.pattern})"[ \t]*\)$', found[0])
        return self._written(found[1], found[2], size[1] if size else "")

    def _referred(self, found: re.Match[str], labels: dict[str, str]) -> str:
        name = labels.get((found[2] or found[1]).casefold())
        return found[0] if name is None else self._written(found[1], name)

    def _from_tag(self, found: re.Match[str]) -> str:
        about = {name.lower(): next((v for v in values if v), "") for name, *values in ATTRIBUTE.findall(found[2])}
        source = about.get("src", "").strip()
        if not source.lower().startswith("attachment:"):
            return found[0]  # a remote picture, which is text here
        title = ", ".join(f"{key} {size}" for key in ("width", "height") if (size := _size(about, key)))
        made = self._written(about.get("alt", ""), source[len("attachment:") :], title)
        alone = found[1] is not None and found[3] is not None  # in a block of HTML Markdown begins after a blank line
        return f"\n\n{made}\n\n" if alone else (found[1] or "") + made + (found[3] or "")


def _size(about: dict[str, str], key: str) -> str:
    """Pixels of a picture, from its attribute or its style; "" where it says none."""
    styled = re.search(rf"(?:^|;)\s*{key}\s*:([^;]*)", about.get("style", ""))
    found = SIZE.match(about.get(key, "")) or (SIZE.match(styled[1]) if styled else None)
    return found[1] if found else ""


def shown(bundle: Mapping[str, str], words: str, title: str | None) -> str:
    """The `<img>` of an attachment, with the size that `Pictures` put into its title; `words` are HTML."""
    kind, data = next(iter(bundle.items()))
    if kind not in KINDS.values() or not ENCODED.fullmatch(data):
        return words
    found = SIZED.fullmatch(title or "")
    both = zip(("width", "height"), found.groups() if found else (None, None), strict=True)
    sizes = "".join(f' {key}="{value}"' for key, value in both if value)
    return f'<img src="data:{kind};base64,{data}" alt="{words}"{sizes}>'
