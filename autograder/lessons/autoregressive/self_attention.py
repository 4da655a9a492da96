"""Several heads and a cache: `self_attention`."""

from __future__ import annotations

import torch

from ...conventions import Manner
from ...exercise import exercise
from ...student import Failure


@exercise("self_attention", points=2, after=("causal_attention",))
def self_attention(student, case):
    """(y, (k, v)): causal attention of the new positions behind those in the cache, several heads, y times w_out^T."""
    attend = case.upstream("causal_attention")

    def truth(*given):
        return attended(attend, *given)

    batch, count, width, heads = case.sizes(4, low=2, high=5)
    D = heads * (width + 1)
    x = case.normal(batch, count + 5, D)
    w_qkv, w_out = case.normal(3 * D, D) / D**0.5, case.normal(D, D)
    y, k, v = parts(case, student(x, w_qkv, w_out, heads))
    right, keys, values = parts(case, truth(x, w_qkv, w_out, heads))
    case.expect(y, right, "the answer, without a cache", points=0.6)
    case.expect([k, v], [keys, values], "the keys and values that come back", points=0.3)
    got, true = [], []
    for new in (1, 2):
        cache = case.normal(batch, heads, count + new, width + 1), case.normal(batch, heads, count + new, width + 1)
        given = x[:, :new].contiguous(), w_qkv, w_out, heads, cache
        got.append([*parts(case, student(*given)), *kept(student.inputs_after(*given))])
        true.append([*parts(case, truth(*given)), *cache])
    case.expect([one[0] for one in got], [one[0] for one in true], "1 and 2 new positions behind a cache", points=0.4)
    case.expect(
        [one[1:] for one in got],
        [one[1:] for one in true],
        "the cache that comes back, the given one untouched",
        points=0.3,
    )
    single = x, w_qkv, w_out, heads
    case.conventions(student, single, lambda *given: first(truth(*given)), points=0.4, manner=First())


class First(Manner):
    """Only y of the answer is looked at."""

    def answer(self, values, args):
        return first(values[0])


def first(value):
    return value[0] if isinstance(value, list | tuple) and value else value


def parts(case, value):
    """[y, k, v] of an answer, Failures where its form is another."""
    y, cache = case.unpack(value, "y", "(k, v)")
    return [y, *case.unpack(cache, "k", "v")]


def kept(after):
    """The cache among the arguments after a call."""
    return [after] * 2 if isinstance(after, Failure) else list(after[4])


def attended(attend, x, w_qkv, w_out, heads, cache=None):
    """Head after head, each with its own rows of the weights; `attend` does the attention."""
    D = x.shape[-1]
    size = D // heads
    answers, keys, values = torch.zeros_like(x), [], []
    for head in range(heads):
        q, k, v = (torch.einsum("bmi,oi->bmo", x, w_qkv[n * D + head * size :][:size]) for n in range(3))
        if cache is not None:
            k, v = (torch.cat([old[:, head], new], 1) for old, new in zip(cache, (k, v), strict=True))
        seen = attend(q[:, None], k[:, None], v[:, None])
        if not isinstance(seen, torch.Tensor):
            return seen if isinstance(seen, Failure) else Failure("form", "causal_attention returned no tensor")
        if seen.shape != (*q[:, None].shape[:3], v.shape[-1]):
            return Failure("form", "causal_attention returned another shape")
        answers = answers + torch.einsum("bmo,po->bmp", seen[:, 0], w_out[:, head * size :][:, :size])
        keys.append(k)
        values.append(v)
    return answers, (torch.stack(keys, 1), torch.stack(values, 1))


@self_attention.truth
def truth(x, w_qkv, w_out, heads, cache=None):
    """Head after head, the attention query by query."""

    def attend(q, k, v):
        rows, ahead = [], k.shape[2] - q.shape[2]
        for i in range(q.shape[2]):
            upto = ahead + i + 1
            score = (q[:, :, i : i + 1] * k[:, :, :upto]).sum(-1) / q.shape[-1] ** 0.5
            rows.append((score.softmax(-1)[..., None] * v[:, :, :upto]).sum(2))
        return torch.stack(rows, 2)

    return attended(attend, x, w_qkv, w_out, heads, cache)


def looked(q, k, v):
    """Right attention of the last positions."""
    M, N = q.shape[-2], k.shape[-2]
    hidden = q.new_ones(M, N).triu(N - M + 1).bool()
    return (q @ k.mT / q.shape[-1] ** 0.5).masked_fill(hidden, -torch.inf).softmax(-1) @ v


def split(x, heads):
    """(B, M, D) -> (B, heads, M, D/heads), each head a consecutive piece."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def joined(x):
    return x.transpose(1, 2).flatten(2)


def run(x, w_qkv, w_out, heads, cache=None, cut=split, join=joined, order=(0, 1, 2), behind=True, out=True):
    """The right answer with one thing changed."""
    thirds = (x @ w_qkv.T).chunk(3, -1)
    q, k, v = (cut(thirds[n], heads) for n in order)
    if cache is not None:
        k, v = (torch.cat([old, new] if behind else [new, old], 2) for old, new in zip(cache, (k, v), strict=True))
    seen = join(looked(q, k, v))
    return (seen @ w_out.T if out else seen), (k, v)


@self_attention.alternative("chunk, unflatten, transpose")
def chunk_unflatten_transpose(x, w_qkv, w_out, heads, cache=None):
    return run(x, w_qkv, w_out, heads, cache)


@self_attention.alternative("one reshape for all three, a list back")
def one_reshape_for_all_three_list_back(x, w_qkv, w_out, heads, cache=None):
    B, M, D = x.shape
    q, k, v = torch.nn.functional.linear(x, w_qkv).reshape(B, M, 3, heads, D // heads).permute(2, 0, 3, 1, 4)
    if cache:
        k, v = torch.cat((cache[0], k), dim=2), torch.cat((cache[1], v), dim=2)
    return [torch.nn.functional.linear(looked(q, k, v).permute(0, 2, 1, 3).reshape(B, M, D), w_out), [k, v]]


@self_attention.alternative("einsum over heads")
def einsum_over_heads(x, w_qkv, w_out, heads, cache=None):
    D = x.shape[-1]
    w = w_qkv.view(3, heads, D // heads, D)
    q, k, v = torch.einsum("bmi,nhoi->nbhmo", x, w).unbind(0)
    if cache is not None:
        old_k, old_v = cache
        k, v = torch.cat([old_k, k], -2), torch.cat([old_v, v], -2)
    return torch.einsum("bhmo,pho->bmp", looked(q, k, v), w_out.view(D, heads, -1)), (k, v)


@self_attention.misconception(
    "the cache is not used",
    hint="The positions in the cache come first: their keys and values are seen by all new queries.",
)
def cache_is_not_used(x, w_qkv, w_out, heads, cache=None):
    return run(x, w_qkv, w_out, heads)


@self_attention.misconception(
    "the cache stands behind the new positions",
    hint="Stored keys and values are of EARLIER positions: they stand before the new ones in torch.cat.",
)
def cache_stands_behind_new_positions(x, w_qkv, w_out, heads, cache=None):
    return run(x, w_qkv, w_out, heads, cache, behind=False)


@self_attention.misconception(
    "only the new keys and values come back",
    hint="The next call needs those of ALL positions so far, the stored ones and the new ones.",
)
def only_new_keys_and_values_come_back(x, w_qkv, w_out, heads, cache=None):
    y, (k, v) = run(x, w_qkv, w_out, heads, cache)
    return y, (k[:, :, -x.shape[1] :], v[:, :, -x.shape[1] :])


@self_attention.misconception(
    "w_out is not used",
    hint="The heads' answers side by side are multiplied by w_out^T at the end.",
)
def w_out_is_not_used(x, w_qkv, w_out, heads, cache=None):
    return run(x, w_qkv, w_out, heads, cache, out=False)


@self_attention.misconception(
    "w_out is not transposed",
    hint="As in nn.Linear a weight is (out, in): x @ w_out.T.",
)
def w_out_is_not_transposed(x, w_qkv, w_out, heads, cache=None):
    return run(x, w_qkv, w_out.T, heads, cache)


@self_attention.misconception(
    "keys, queries and values in another order",
    hint="The first D rows of w_qkv make the queries, the next D the keys, the last D the values.",
)
def keys_queries_and_values_in_another_order(x, w_qkv, w_out, heads, cache=None):
    return run(x, w_qkv, w_out, heads, cache, order=(1, 0, 2))


@self_attention.misconception(
    "heads take turns instead of being pieces",
    hint="Head a has the entries a D/heads to (a + 1) D/heads - 1, a consecutive piece: unflatten into (heads, "
    "D/heads).",
)
def heads_take_turns(x, w_qkv, w_out, heads, cache=None):
    def cut(x, heads):
        return x.unflatten(-1, (-1, heads)).permute(0, 3, 1, 2)

    def join(x):
        return x.permute(0, 2, 3, 1).flatten(2)

    return run(x, w_qkv, w_out, heads, cache, cut=cut, join=join)


@self_attention.misconception(
    "reshaped without a transpose",
    hint="(B, M, D) reshaped to (B, heads, M, D/heads) mixes positions and heads. First (B, M, heads, D/heads), then "
    "exchange the two axes.",
)
def reshaped_without_transpose(x, w_qkv, w_out, heads, cache=None):
    def cut(x, heads):
        return x.reshape(len(x), heads, x.shape[1], -1)

    return run(x, w_qkv, w_out, heads, cache, cut=cut, join=lambda x: x.reshape(len(x), x.shape[2], -1))


@self_attention.misconception(
    "cut without a transpose",
    hint="(B, M, D) reshaped to (B, heads, M, D/heads) mixes positions and heads. First (B, M, heads, D/heads), then "
    "exchange the two axes, as you do when you put the heads together.",
)
def cut_without_transpose(x, w_qkv, w_out, heads, cache=None):
    def cut(x, heads):
        return x.reshape(len(x), heads, x.shape[1], -1)

    return run(x, w_qkv, w_out, heads, cache, cut=cut)


@self_attention.misconception(
    "put together without a transpose",
    hint="(B, heads, M, D/heads) reshaped to (B, M, D) mixes positions and heads: exchange the two axes first.",
)
def put_together_without_transpose(x, w_qkv, w_out, heads, cache=None):
    return run(x, w_qkv, w_out, heads, cache, join=lambda x: x.reshape(len(x), x.shape[2], -1))


@self_attention.misconception(
    "a single head",
    hint="`heads` pieces attend separately, each with a softmax of its own.",
)
def single_head(x, w_qkv, w_out, heads, cache=None):
    thirds = (x @ w_qkv.T).chunk(3, -1)
    if cache is None:
        past_k = past_v = x.new_zeros(len(x), 0, x.shape[-1])
    else:
        past_k, past_v = (joined(old) for old in cache)
    k, v = torch.cat([past_k, thirds[1]], 1), torch.cat([past_v, thirds[2]], 1)
    y = looked(thirds[0][:, None], k[:, None], v[:, None])[:, 0] @ w_out.T
    return y, (split(k, heads), split(v, heads))


@self_attention.misconception(
    "x is added",
    hint="No residual: the block around it adds x, this function does not.",
)
def x_is_added(x, w_qkv, w_out, heads, cache=None):
    y, cache = run(x, w_qkv, w_out, heads, cache)
    return x + y, cache


@self_attention.misconception(
    "the cache comes back without heads",
    hint="Keys and values come back as (B, heads, positions, D/heads), as the next call wants them.",
)
def cache_comes_back_without_heads(x, w_qkv, w_out, heads, cache=None):
    y, (k, v) = run(x, w_qkv, w_out, heads, cache)
    return y, (joined(k), joined(v))


@self_attention.misconception(
    "values and keys are exchanged in the cache",
    hint="The cache is (k, v), keys first.",
)
def values_and_keys_are_exchanged_in_cache(x, w_qkv, w_out, heads, cache=None):
    y, (k, v) = run(x, w_qkv, w_out, heads, cache)
    return y, (v, k)
