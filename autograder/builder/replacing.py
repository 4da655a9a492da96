"""Files put into the place of others in one step."""

from __future__ import annotations

from pathlib import Path


def replace_folder(made: Path, wanted: Path) -> None:
    """Bring `wanted` to the files of `made`, each replaced in one step; what was there besides goes."""
    wanted.mkdir(parents=True, exist_ok=True)
    files = {path.relative_to(made) for path in made.rglob("*") if path.is_file()}
    for name in sorted(files):
        replace_file(wanted / name, (made / name).read_bytes())
    for path in wanted.rglob("*"):
        hidden = any(part.startswith(".") for part in path.relative_to(wanted).parts)
        if path.is_file() and path.relative_to(wanted) not in files and not hidden:
            path.unlink()


def replace_file(path: Path, content: bytes) -> None:
    """Write a file in one step, so that nobody ever sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(path.name + ".tmp")
    half.write_bytes(content)
    half.replace(path)
