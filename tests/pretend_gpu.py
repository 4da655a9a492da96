"""A GPU that is none, for machines without: tensors that say they are elsewhere, keep their numbers on the CPU, and
refuse what a GPU refuses.

    python -P tests/pretend_gpu.py solutions/06-sampling/sampling.py     run a lesson on it, with short training

Built on PyTorch's device for others' backends (PrivateUse1) and on `TorchDispatchMode`, below autograd: every operation
ends here. One that mixes tensors of both sides raises, as on CUDA, and what makes the host wait is counted in `WAITS`.
Speed, memory, CUDA's graphs and its kernels' rounding it cannot tell anything of.
"""

import contextlib
import os
import sys
from collections import Counter
from collections.abc import Iterator
from typing import ClassVar

import torch
import torch.utils.backend_registration as backends
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

NAME = "pretend"
# Where there is a real one, autograd would take its streams from the pretended.
POSSIBLE = hasattr(backends, "_setup_privateuseone_for_python_backend") and not torch.cuda.is_available()
if POSSIBLE:  # before the first backward pass of this process: autograd counts the devices then, and never again
    backends._setup_privateuseone_for_python_backend(NAME)
WAITS: Counter[str] = Counter()

aten = torch.ops.aten
CROSSES = {aten.copy_.default, aten._to_copy.default}
# A table on the GPU takes indices of the CPU, which are carried there.
LOOKS_UP = {aten.index.Tensor, aten.index_put_.default, aten.index_put.default, aten._index_put_impl_.default}
# The shape of the result, or a number for the host, depends on values.
READS = {
    aten._local_scalar_dense.default,
    aten.nonzero.default,
    aten.masked_select.default,
    aten.equal.default,
    aten.allclose.default,
    aten.bincount.default,
    aten._unique2.default,
    aten.unique_dim.default,
    aten.repeat_interleave.Tensor,
}


class OnGpu(Tensor):
    """A tensor on the pretended device; `held` has the numbers."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> "OnGpu":
        layout = dict(strides=held.stride(), storage_offset=held.storage_offset(), dtype=held.dtype)
        made = Tensor._make_wrapper_subclass(cls, held.shape, device=torch.device(NAME, 0), **layout)
        made.held = held
        return made

    def __repr__(self) -> str:
        return f"OnGpu({self.held!r})"

    def __format__(self, spec: str) -> str:
        return self.item().__format__(spec) if self.ndim == 0 else repr(self)  # as of a tensor proper

    def tolist(self) -> list:
        return self.cpu().tolist()

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return _compute(func, args, kwargs or {})


class _Gpu(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return _compute(func, args, kwargs or {})


class _Generator(torch.Generator):
    """A generator of the CPU that says it belongs to the device it was made for."""

    there: ClassVar[dict] = {}  # those of the pretended device, by their address: an operation gets them in new clothes

    def __new__(cls, device="cpu"):
        made = super().__new__(cls, "cpu")
        made.said = torch.device(device)
        if made.said.type == NAME:
            cls.there[made._cdata] = made
        return made

    @property
    def device(self):
        return self.said


@contextlib.contextmanager
def pretend_gpu() -> Iterator[torch.device]:
    """Within the block there is a device named `NAME`."""
    generator, lifting = torch.Generator, torch._C._only_lift_cpu_tensors()
    torch.Generator = _Generator
    torch._C._set_only_lift_cpu_tensors(True)  # torch.tensor(…, device=…) makes it on the CPU and copies it
    try:
        with _Gpu():
            yield torch.device(NAME, 0)
    finally:
        torch.Generator = generator
        torch._C._set_only_lift_cpu_tensors(lifting)


def _compute(func, args, kwargs):
    tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
    ours = [x for x in tensors if isinstance(x, OnGpu)]
    others = [x for x in tensors if not isinstance(x, OnGpu)]
    wanted = kwargs.get("device")
    there = bool(ours) if wanted is None else wanted.type == NAME
    if func not in CROSSES and ours and _mixed(func, args, others):
        raise RuntimeError(f"Expected all tensors to be on the same device, but found {NAME}:0 and cpu ({func})")
    generator = kwargs.get("generator")
    if generator is not None and (generator._cdata in _Generator.there) != there:
        raise RuntimeError(f"Expected tensors and generator on the same device ({func})")
    if func is aten.copy_.default:
        there = isinstance(args[0], OnGpu)
    if _waits(func, args, ours, others, there):
        WAITS[str(func)] += 1
    plain_args, plain = tree_map(_held, args), tree_map(_held, kwargs)
    if wanted is not None:
        plain["device"] = torch.device("cpu")
    result = func(*plain_args, **plain)
    same = {id(x.held): x for x in ours} | {id(x): x for x in others}  # what is written into is handed back itself

    def placed(x):
        if not isinstance(x, Tensor):
            return x
        return same[id(x)] if id(x) in same else (OnGpu(x) if there else x)

    return tree_map(placed, result)


def _mixed(func, args, others) -> bool:
    """Whether there are tensors of the CPU where none may be; a single number always may."""
    if func in LOOKS_UP:
        table, _, *values = args
        others = [x for x in (table, *values) if isinstance(x, Tensor) and not isinstance(x, OnGpu)]
        return not isinstance(table, OnGpu) or any(x.ndim for x in others)
    return any(x.ndim for x in others)


def _waits(func, args, ours, others, there) -> bool:
    if func in CROSSES:
        return (bool(ours) and (bool(others) or not there)) or (there and not ours)
    if func in LOOKS_UP and ours:
        indices = [i for i in args[1] if isinstance(i, Tensor)]
        return any(not isinstance(i, OnGpu) or i.dtype in (torch.bool, torch.uint8) for i in indices)
    return bool(ours) and func in READS


def _held(x):
    return x.held if isinstance(x, OnGpu) else x


def run_lesson(path: str) -> list[str]:
    """Run a lesson's source, cell after cell; one line for each that fails."""
    import jupytext
    from IPython.core.interactiveshell import InteractiveShell

    shell, failures = InteractiveShell.instance(), []
    with pretend_gpu():
        for number, cell in enumerate(jupytext.read(path, fmt="py:percent").cells):
            if cell.cell_type == "code":
                done = shell.run_cell(cell.source, store_history=False)
                error = done.error_before_exec or done.error_in_exec
                if error is not None:
                    failures.append(f"cell {number}: {type(error).__name__}: {str(error)[:300]}")
    moved = [name for name, value in shell.user_ns.items() if isinstance(value, OnGpu)]
    print(f"{len(moved)} names stand for tensors there", file=sys.stderr)
    return failures if moved else [*failures, "nothing was computed there"]


if __name__ == "__main__":
    os.environ |= {
        "COURSE_DEVICE": NAME,
        "COURSE_BUDGET": "short",
        "COURSE_PROGRESS": "off",
        "COURSE_WIDGETS": "static",
    }
    found = run_lesson(sys.argv[1])
    print(*found, sep="\n", file=sys.stderr)
    sys.exit(bool(found))
