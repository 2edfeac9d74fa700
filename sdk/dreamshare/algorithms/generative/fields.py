"""What devices answer to `generative/1`'s sums: names, shapes, bounds and bits."""

from __future__ import annotations

from dreamshare.algorithms.generative.config import GenerativeConfig
from dreamshare.algorithms.generative.state import words_of
from dreamshare.updates import Field


def counted(config: GenerativeConfig) -> tuple[Field, ...]:
    """Return the fields of `count`."""
    c = config
    most = float(c.max_examples)
    fields = (
        Field("counts", (c.classes,), bound=most, bits=20),
        Field("holders", (c.classes,), bound=1.0, bits=20),
    )
    words = words_of(c)
    return (*fields, Field("words", (c.classes, words), most, 20)) if words else fields


def described(config: GenerativeConfig, most: float) -> tuple[Field, ...]:
    """Return the fields of a device that describes at most `most` examples of a class."""
    c = config
    size = (c.classes, c.shape[0], c.frequencies, c.frequencies)
    return (
        Field("described", (c.classes,), bound=most, bits=20),
        Field("sums", size, bound=most * c.top, bits=20),
        Field("squares", size, bound=most * c.top**2, bits=20),
    )
