"""Episodes cut into chunks, padded at their ends: `action_chunks`."""

from __future__ import annotations

import torch

from ...exercise import exercise
from ...student import Failure


@exercise("action_chunks", points=2)
def action_chunks(student, case):
    """(chunks, valid): the next `horizon` actions of every step, an episode's last one repeated where it has ended."""
    truth, dims = action_chunks.oracle, case.integer(2, 3)

    def given(lengths, horizon, entries=dims):
        return case.normal(sum(lengths), entries), lengths, horizon

    mixed = given([case.integer(4, 6), 1, 3, 1], 3)
    chunks, valid = case.unpack(student(*mixed), "chunks", "valid")
    true_chunks, true_valid = truth(*mixed)
    case.expect(chunks, true_chunks, "four episodes, two of them of one step: the chunks", points=0.5, dtype=True)
    case.expect(valid, true_valid, "four episodes, two of them of one step: what is valid", points=0.5, dtype=True)
    short, single = given([2, 3], 6), given([3, 1, 2], 1)
    case.expect(
        [student(*short), student(*single)],
        [truth(*short), truth(*single)],
        "a horizon beyond every episode, and a horizon of 1",
        points=0.25,
    )
    alone, ones, exact = given([5], 3), given([1, 1, 1], 2), given([3, 3], 3)
    listed = student.inputs_after(*mixed)
    case.expect(
        [student(*alone), student(*ones), student(*exact), listed if isinstance(listed, Failure) else listed[1]],
        [truth(*alone), truth(*ones), truth(*exact), mixed[1]],
        "one episode, episodes of one step, episodes as long as the horizon; the list of lengths stays as it is",
        points=0.25,
    )
    also = [given([1], 1, 1), given([2, 1, 2], 2, 1), given([4, 2], 9)]
    case.conventions(student, mixed, truth, points=0.5, also=also)


@action_chunks.truth
def truth(actions, lengths, horizon):
    """From the last step backwards: a chunk is its own action, then the next step's chunk without its last action."""
    ends, total = set(), 0
    for length in lengths:
        total += length
        ends.add(total - 1)
    chunks, valid = [], []
    for n in reversed(range(total)):
        own = [actions[n]]
        if n in ends:
            chunks.append(own * horizon)
            valid.append([True] + [False] * (horizon - 1))
        else:
            chunks.append((own + chunks[-1])[:horizon])
            valid.append(([True] + valid[-1])[:horizon])
    return torch.stack([torch.stack(row) for row in reversed(chunks)]), torch.tensor(valid[::-1])


def places(actions, lengths, horizon):
    """n + j (N, H), and for each n the index of its episode's last step (N, 1)."""
    size = torch.tensor(lengths, device=actions.device)
    last = torch.repeat_interleave(size.cumsum(0) - 1, size)[:, None]
    steps = torch.arange(len(actions), device=actions.device)[:, None]
    return steps + torch.arange(horizon, device=actions.device), last


@action_chunks.alternative("indices that stop at the end")
def indices_that_stop(actions, lengths, horizon):
    place, last = places(actions, lengths, horizon)
    return actions[place.clamp(max=last)], place <= last


@action_chunks.alternative("each episode padded, then unfolded")
def padded_then_unfolded(actions, lengths, horizon):
    chunks, valid = [], []
    for episode in actions.split(lengths):
        tail = episode[-1:].expand(horizon - 1, -1)
        chunks.append(torch.cat([episode, tail]).unfold(0, horizon, 1).transpose(1, 2))
        there = torch.arange(len(episode) + horizon - 1, device=actions.device) < len(episode)
        valid.append(there.unfold(0, horizon, 1))
    return torch.cat(chunks), torch.cat(valid)


@action_chunks.alternative("loops and a table filled in place")
def loops(actions, lengths, horizon):
    chunks = actions.new_empty(len(actions), horizon, actions.shape[1])
    valid = torch.zeros(len(actions), horizon, dtype=torch.bool, device=actions.device)
    start = 0
    for length in lengths:
        for n in range(start, start + length):
            for j in range(horizon):
                inside = n + j < start + length
                chunks[n, j] = actions[n + j if inside else start + length - 1]
                valid[n, j] = inside
        start += length
    return [chunks, valid]


@action_chunks.misconception(
    "chunks run on into the next episode",
    hint="The actions lie one after another, but an episode's last step is followed by nothing: look at the step "
    "before a boundary.",
)
def into_next_episode(actions, lengths, horizon):
    place, _ = places(actions, lengths, horizon)
    end = len(actions) - 1
    return actions[place.clamp(max=end)], place <= end


@action_chunks.misconception(
    "only the marks stop at the end of an episode",
    hint="valid is right, but behind an episode's end your chunks hold the next episode's actions. The last action of "
    "the episode is to be repeated.",
)
def only_marks_stop(actions, lengths, horizon):
    place, last = places(actions, lengths, horizon)
    return actions[place.clamp(max=len(actions) - 1)], place <= last


@action_chunks.misconception(
    "padded with zeros",
    hint="Behind its end an episode stands still at its last action: repeat that one.",
)
def padded_with_zeros(actions, lengths, horizon):
    chunks, valid = indices_that_stop(actions, lengths, horizon)
    return chunks * valid[..., None], valid


@action_chunks.misconception(
    "padded with the chunk's own first action",
    hint="What is repeated is the last action of the episode, not the action that the chunk begins with.",
)
def padded_with_first(actions, lengths, horizon):
    chunks, valid = indices_that_stop(actions, lengths, horizon)
    return torch.where(valid[..., None], chunks, chunks[:, :1]), valid


@action_chunks.misconception(
    "padded with the next episode's first action",
    hint="The place where you stop is one too far: behind an episode's last action stands the next episode's first.",
)
def padded_with_next(actions, lengths, horizon):
    place, last = places(actions, lengths, horizon)
    return actions[place.clamp(max=last + 1).clamp(max=len(actions) - 1)], place <= last


@action_chunks.misconception(
    "the steps of a chunk stand last",
    hint="unfold puts its new axis at the end. Asked for is (N, horizon, A): the entries of an action stand last.",
)
def steps_last(actions, lengths, horizon):
    chunks, valid = indices_that_stop(actions, lengths, horizon)
    return chunks.transpose(1, 2), valid


@action_chunks.misconception(
    "padding counts as valid",
    hint="valid marks actions that the expert really took. Repetitions of the last one are not among them.",
)
def padding_valid(actions, lengths, horizon):
    chunks, valid = indices_that_stop(actions, lengths, horizon)
    return chunks, torch.ones_like(valid)


@action_chunks.misconception(
    "valid is turned round",
    hint="valid is True where an action was taken, so valid[:, 0] is True everywhere.",
)
def turned_round(actions, lengths, horizon):
    chunks, valid = indices_that_stop(actions, lengths, horizon)
    return chunks, ~valid


@action_chunks.misconception(
    "the last action of an episode is not valid",
    hint="The last action was really taken; only its repetitions are padding. Look at < and <= once more.",
)
def last_not_valid(actions, lengths, horizon):
    place, last = places(actions, lengths, horizon)
    return actions[place.clamp(max=last)], place < last


@action_chunks.misconception(
    "the first repetition counts as valid",
    hint="An episode of one step has one valid action in its chunk. Count yours.",
)
def one_too_many(actions, lengths, horizon):
    place, last = places(actions, lengths, horizon)
    return actions[place.clamp(max=last)], place <= last + 1


@action_chunks.misconception(
    "valid holds numbers",
    hint="valid is a mask that others index with: a tensor of bool, not of 0 and 1.",
)
def marks_as_numbers(actions, lengths, horizon):
    chunks, valid = indices_that_stop(actions, lengths, horizon)
    return chunks, valid.to(actions.dtype)


@action_chunks.misconception(
    "steps without a whole chunk are dropped",
    hint="Every step gets a row, those near the end of an episode too: that is what padding is for.",
)
def incomplete_dropped(actions, lengths, horizon):
    chunks, valid = indices_that_stop(actions, lengths, horizon)
    whole = valid.all(1)
    return chunks[whole], valid[whole]


@action_chunks.misconception(
    "chunks begin one action late",
    hint="The first action of a chunk is the one taken at that very step: j counts from 0.",
)
def one_late(actions, lengths, horizon):
    place, last = places(actions, lengths, horizon)
    return actions[(place + 1).clamp(max=last)], place + 1 <= last


@action_chunks.misconception(
    "chunks look back",
    hint="A chunk holds the actions that come next, not those that came before.",
)
def look_back(actions, lengths, horizon):
    size = torch.tensor(lengths)
    first = torch.repeat_interleave(size.cumsum(0) - size, size)[:, None]
    place = torch.arange(len(actions))[:, None] - torch.arange(horizon)
    return actions[place.clamp(min=first)], place >= first


@action_chunks.misconception(
    "chunks do not overlap",
    hint="One row for every step, each chunk one step later than the one before, not one row for every `horizon` "
    "steps.",
)
def no_overlap(actions, lengths, horizon):
    chunks, valid = indices_that_stop(actions, lengths, horizon)
    kept = [n for part in torch.arange(len(actions)).split(lengths) for n in part[::horizon].tolist()]
    return chunks[kept], valid[kept]


@action_chunks.misconception(
    "the list of lengths is emptied",
    hint="The value is right, but lengths.pop takes the list apart that you were given, and whoever called you still "
    "needs it.",
)
def lengths_emptied(actions, lengths, horizon):
    made = indices_that_stop(actions, list(lengths), horizon)
    while lengths:
        lengths.pop(0)
    return made


action_chunks.derived(
    "parts exchanged",
    name="chunks and valid are exchanged",
    hint="The chunks come first, then their marks: return chunks, valid.",
)
