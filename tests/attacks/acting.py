"""What could act on a page that a browser shows."""

import re
from html.parser import HTMLParser

ACTING = {"script", "iframe", "object", "embed", "form", "base", "svg", "math", "style", "link", "meta", "frame"}


class Acting(HTMLParser):
    """Collects what could act on a page: tags, handlers, addresses that are code, pictures from elsewhere."""

    def __init__(self, page):
        super().__init__()
        self.found = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        if tag in ACTING:
            self.found.append((tag, tuple(sorted(dict(attrs)))))
        if tag == "math" and attrs in ([("display", "inline")], [("display", "block")]):
            self.found.remove((tag, ("display",)))  # mathematics as the page's maker writes it
        for name, value in attrs:
            if name.startswith("on") or re.match(r"\s*(javascript|vbscript|data:text)", value or "", re.I):
                self.found.append((tag, name, value))
            if tag == "img" and name == "src" and not value.startswith("data:image/"):
                self.found.append((tag, name, value))
