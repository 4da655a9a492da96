import os

import pytest
import torch

from course_lib.training.checkpoint import TrainingState, load_checkpoint, save_checkpoint


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


def trained(lr, *, fused, last=False):
    """A small network after one step of Adam, with the state to save."""
    torch.manual_seed(0)
    model = torch.nn.Conv2d(2, 4, 3)
    if last:
        model = model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), lr=lr, fused=fused)
    model(torch.randn(5, 2, 6, 6)).square().mean().backward()
    optimizer.step()
    state = TrainingState(
        model, optimizer, torch.zeros(4), torch.arange(5), torch.ones(1, dtype=torch.long), [torch.ones(2)], done=1
    )
    return model, optimizer, state


def test_what_a_graph_or_a_step_writes_to_stays_where_it_is(tmp_path):
    """Read back in place: the step's views of order, average and learning rate must see what was read."""
    _, _, first = trained(0.1, fused=False)
    first.order.copy_(torch.tensor([4, 2, 0, 1, 3]))
    first.average[0].fill_(7)
    first.save(tmp_path / "run.pt")
    rate = torch.tensor(0.25)
    _, optimizer, second = trained(rate, fused=True)
    places = [second.order, second.clock, second.losses, *second.average]
    second.clock.zero_()
    second.load(tmp_path / "run.pt")
    assert optimizer.param_groups[0]["lr"] is rate and optimizer.param_groups[0]["fused"]
    now = [second.order, second.clock, second.losses, *second.average]
    assert all(a is b for a, b in zip(places, now, strict=True))
    assert places[0].tolist() == [4, 2, 0, 1, 3] and second.clock.item() == 1 and second.average[0][0] == 7


@pytest.mark.parametrize("last", [True, False])
def test_the_optimizers_memory_lies_as_the_weights_do(tmp_path, last):
    """A fused step goes through memory from end to end: it would mix up entries that lie in another order."""
    model, optimizer, first = trained(0.1, fused=True, last=last)
    first.save(tmp_path / "run.pt")
    other, its_optimizer, second = trained(0.1, fused=True, last=not last)
    second.load(tmp_path / "run.pt")
    for net in (model, other):
        torch.manual_seed(1)
        net.zero_grad()
        net(torch.randn(5, 2, 6, 6)).square().mean().backward()
    optimizer.step()
    its_optimizer.step()
    assert other.weight.is_contiguous() is last
    assert torch.allclose(model.weight, other.weight, atol=1e-4)
