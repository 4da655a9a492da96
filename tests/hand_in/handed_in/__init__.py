"""Hand-ins as they happen in real courses: each is right but for what its name says."""

from .cells import IMPORTS_CELL, METADATA_LOST, ODD_CELLS
from .compiled import COMPILED
from .files import BESIDE, LARGE, RENAMED
from .hand_in import FULL, HandIn, content
from .pictures import PICTURES
from .stopped import DID_NOT_RUN, NEWER

HAND_INS = (
    *METADATA_LOST,
    *ODD_CELLS,
    *IMPORTS_CELL,
    *DID_NOT_RUN,
    *NEWER,
    *RENAMED,
    *BESIDE,
    *PICTURES,
    *LARGE,
    *COMPILED,
)

__all__ = ["FULL", "HAND_INS", "HandIn", "content"]
