"""Recordings that wait for their next use."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Any


class Kept:
    """Recordings for later: the `most` that were used last, each by a key that says all it depends on.

    One is taken out while it is used, so that no two threads have the same. What is not put back is forgotten.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()

    def take(self, key: Hashable) -> Any:
        """What was put by this key, or None."""
        return self._kept.pop(key, None)

    def put(self, key: Hashable, recording: Any) -> None:
        """Keep it; the one that was not used for longest goes when there are too many."""
        self._kept[key] = recording
        while len(self._kept) > self.most:
            self._kept.popitem(last=False)

    def clear(self) -> None:
        """Forget all, and give their memory on the GPU back."""
        self._kept.clear()

    def __len__(self) -> int:
        return len(self._kept)


KEPT = Kept(4)
