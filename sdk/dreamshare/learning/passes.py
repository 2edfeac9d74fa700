"""One pass over a device's own examples, each visited once."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dreamshare.errors import ConfigError
from dreamshare.learning.base import Batch, Data, Floats, Ints

READ = 512
"""Examples that are looked at together."""


def once(data: Data, most: int) -> Iterator[tuple[Floats, Ints]]:
    """Yield every example once, or `most` of them where there are more; in an order of no matter.

    A pass leaves out a remainder of one (`ArrayData.batches`), so batches are sized to have none.

    Raises:
        ConfigError: an example comes without its class.
    """
    total = len(data)
    size = min(READ, total)
    while size > 2 and total % size == 1:
        size -= 1
    seen, most = 0, min(most, total)
    batches: Iterator[Batch] = data.batches(np.random.default_rng(0), size)
    while seen < most:
        batch = next(batches).first(most - seen)
        if batch.y_N is None:
            raise ConfigError("a device's own examples need their classes in y_N")
        seen += len(batch.y_N)
        yield batch.x_NCHW, batch.y_N
