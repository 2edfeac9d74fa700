"""Which moments a run of `moments/1` asks for, and the fields that they travel in.

Shape legend: D values of an input, B components, T columns of the sketch, K classes.

The rule for form "auto", a function of D and K alone, so that a task's sums are known before it
starts: "pixels" where D is at most `MOST_PIXELS` and the message at most `MOST_WHOLE` numbers; else
"basis" with the most components of `SIZES` whose two sums have at most `MOST_NUMBERS` together. How
far a class's covariance can be trusted is a matter of its count, which is public later: see
`MomentsConfig.shrinkage`.

Rules:
- a field is a sum over a device's examples divided by public counts, in the unit space: means and
  mean products lie in [-1, 1] whatever the data, so those bounds clip nothing;
- components travel over public scales (`Basis.scale_B`), where their products are of about one
  size; what goes beyond `SPREAD`, or `REACH`, times that size is clipped and counted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from dreamshare.algorithms.bounds import clipped_field
from dreamshare.algorithms.moments.config import MomentsConfig
from dreamshare.learning.moments import Basis, cosines, packed_size, pixels
from dreamshare.updates import Field

MOST_PIXELS = 256
MOST_WHOLE = 200_000
"""Enough for ten classes of 14x14 values."""

MOST_NUMBERS = 150_000
"""400 kB where three lanes share a word: 14 bits and up to 128 devices (docs/protocol.md 12.3)."""

SIZES = (128, 96, 64, 48, 32, 24, 16, 12, 8, 4, 2, 1)
DCT_COMPONENTS = 64

CLIPPED_COMPONENTS = 196
"""Frequencies of a release with noise: more cost no example more, and 14x14 values have no more."""

SPREAD = 8.0
"""Bound of a class's variance along a component, over the pooled one."""

REACH = 4.0
"""Bound of sketches, and of products of frequencies, over their usual size."""

FINE = 20
"""Bits of the few numbers that say how much of a class is in a sum."""


@dataclass(frozen=True, slots=True)
class Form:
    """What is asked for.

    Attributes:
        kind: "pixels", "basis", "dct" or "clipped".
        components: B.
        columns: T; 0 without a sketch.
    """

    kind: Literal["pixels", "basis", "dct", "clipped"]
    components: int
    columns: int = 0


def form_of(config: MomentsConfig) -> Form:
    """Return the form of a config, by the rule where the config leaves it open."""
    values = config.space.values
    match config.form:
        case "pixels":
            return Form("pixels", values)
        case "dct":
            return Form("dct", config.components or min(values, DCT_COMPONENTS))
        case "clipped":
            return Form("clipped", config.components or min(values, CLIPPED_COMPONENTS))
        case "basis":
            return _basis(config.components or _affordable(values, config.classes), values)
    whole = config.classes * (packed_size(values) + values)
    if values <= MOST_PIXELS and whole <= MOST_WHOLE:
        return Form("pixels", values)
    return _basis(_affordable(values, config.classes), values)


def numbers_of(form: Form, values: int, classes: int) -> int:
    """Return how many numbers a device sends in the sums of moments."""
    first = classes * (values + 1) + (values if form.kind != "pixels" else 0)
    return first + values * form.columns + classes * packed_size(form.components)


def public_basis(config: MomentsConfig, form: Form) -> Basis:
    """Return the basis of a form that needs no sum for it."""
    if form.kind == "pixels":
        return pixels(config.space.values)
    found = cosines(config.shape, form.components)
    if form.kind == "clipped":  # what one example adds is bounded as a whole: nothing is scaled
        return Basis(found.vectors_DB, np.ones(form.components))
    return found


def count_fields(config: MomentsConfig) -> tuple[Field, ...]:
    """Return the fields of `count`."""
    return (
        Field("counts", (config.classes,), bound=float(config.max_examples), bits=FINE),
        Field("holders", (config.classes,), bound=1.0, bits=FINE),
    )


def sketch_fields(config: MomentsConfig, form: Form) -> tuple[Field, ...]:
    """Return the fields of `sketch`: first moments, squares, the sketch."""
    values = config.space.values
    reach = REACH * math.sqrt(values / form.columns)
    fields = (
        *_first(config),
        Field("sketch", (values, form.columns), bound=reach, bits=config.bits),
    )
    return (*fields, clipped_field(fields))


def describe_fields(config: MomentsConfig, form: Form) -> tuple[Field, ...]:
    """Return the fields of `describe`: what is left of the moments."""
    size = (config.classes, packed_size(form.components))
    firsts = {"pixels": _first(config)[:2], "dct": _first(config), "basis": (_share(config),)}
    bound = {"pixels": 1.0, "dct": REACH, "basis": SPREAD}[form.kind]
    fields = (*firsts[form.kind], Field("second", size, bound=bound, bits=config.bits))
    return (*fields, clipped_field(fields))


def _share(config: MomentsConfig) -> Field:
    return Field("share", (config.classes,), bound=1.0, bits=FINE)


def _first(config: MomentsConfig) -> tuple[Field, ...]:
    values = config.space.values
    return (
        _share(config),
        Field("first", (config.classes, values), bound=1.0, bits=config.bits),
        Field("squares", (values,), bound=1.0, bits=config.bits),
    )


def _basis(components: int, values: int) -> Form:
    """Return a sketch of half as many columns again: more find the directions little better."""
    return Form("basis", components, min(values, components + max(8, components // 2)))


def _affordable(values: int, classes: int) -> int:
    for count in SIZES:
        if count <= values and numbers_of(_basis(count, values), values, classes) <= MOST_NUMBERS:
            return count
    return 1
