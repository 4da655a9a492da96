import os

import pytest
import torch

from course_lib.checkpoint import load_checkpoint, save_checkpoint


def test_round_trip_is_exact(tmp_path):
    content = {"w": torch.randn(3, 2), "n": 3, "name": "run", "parts": [torch.arange(4), {"x": 0.1}]}
    save_checkpoint(tmp_path / "new" / "run.pt", content)
    back = load_checkpoint(tmp_path / "new" / "run.pt")
    assert torch.equal(back["w"], content["w"]) and torch.equal(back["parts"][0], content["parts"][0])
    assert (back["n"], back["name"], back["parts"][1]) == (3, "run", {"x": 0.1})


@pytest.mark.parametrize("failure", ["while writing", "before the name"])
def test_a_failed_write_leaves_the_old_checkpoint_whole_and_no_rubbish(tmp_path, monkeypatch, failure):
    path = tmp_path / "run.pt"
    save_checkpoint(path, {"step": 1})

    def half(content, file):
        file.write(b"half of a checkp")
        raise OSError("no space left on device")

    def unsynced(descriptor):
        raise OSError("disk on fire")

    monkeypatch.setattr(*((torch, "save", half) if failure == "while writing" else (os, "fsync", unsynced)))
    with pytest.raises(OSError):
        save_checkpoint(path, {"step": 2})
    monkeypatch.undo()
    assert load_checkpoint(path) == {"step": 1}
    assert list(tmp_path.iterdir()) == [path]


class Trap:
    def __reduce__(self):
        return print, ("code ran",)


def test_a_damaged_file_is_one_clear_line_and_no_code_runs(tmp_path, capsys):
    path = tmp_path / "run.pt"
    torch.save({"x": Trap()}, path)
    for content in (path.read_bytes(), b"", b"no checkpoint"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"not a readable checkpoint.*delete it") as caught:
            load_checkpoint(path)
        assert "\n" not in str(caught.value)
    assert capsys.readouterr().out == ""


def test_a_missing_file_and_a_foreign_one(tmp_path):
    with pytest.raises(FileNotFoundError, match="train first, or correct the path"):
        load_checkpoint(tmp_path / "none.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(ValueError, match="holds a list"):
        load_checkpoint(tmp_path / "list.pt")
