"""What takes long to work out of a volume, kept in the cache."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from fesemlib.storage import code_digest, digest, folder_in_cache, read_sealed, write_sealed


def kept(compute: Callable[..., npt.ArrayLike], *arguments: object) -> npt.NDArray[Any]:
    """The array that a function makes of its arguments, worked out once.

    It is named by the source of the function, this room and the arguments; what else the function
    reads or calls has no part in that.

    Parameters
    ----------
    compute
        The function, of this room or written in a notebook.
    *arguments
        Arrays, functions, by their source, and what `repr` tells apart.

    Examples
    --------
    >>> def pores(solid):
    ...     return (~solid).mean()
    >>> float(kept(pores, np.zeros((2, 2, 2), bool)))
    1.0
    """
    parts = [inspect.getsource(x) if inspect.isfunction(x) else x for x in (compute, *arguments)]
    name = digest(code_digest("fesemlib.volume"), *parts)
    path = folder_in_cache("volumes") / f"{compute.__name__}-{name}.npy"
    if (content := read_sealed(path)) is None:
        made = np.asarray(compute(*arguments))
        write_sealed(path, lambda stream: np.save(stream, made))
        return made
    return np.asarray(np.load(content))
