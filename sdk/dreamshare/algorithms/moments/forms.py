"""Which moments a run of `moments/1` asks for, and the fields that they travel in.

Shape legend: D values of an input, B components, L rows and T columns of the sketch, K classes.

The rule for form "auto", a function of D and K alone, so that a task's sums are known before it
starts: "pixels" where D is at most `MOST_PIXELS` and the message at most `MOST_WHOLE` numbers; else
"planes" for pictures of 2 to `MOST_PLANES` channels, and "basis" for all others, with the most
components (a channel) of `SIZES`, or `SHARED`, whose two sums have at most `MOST_NUMBERS` together.
How far a class's covariance can be trusted is a matter of its count, which is public later: see
`MomentsConfig.shrinkage`.

Rules:
- a field is a sum over a device's examples divided by public counts, in the unit space: means and
  mean products of values lie in [-1, 1] whatever the data, so those bounds clip nothing;
- components travel over public scales (`Basis.scale_B`), where their products are of about one
  size; what goes beyond `SPREAD`, or `REACH`, times that size is clipped and counted;
- "planes" has means and the sketch of a plane's lowest frequencies alone, `ROWS` for each
  direction: pictures are smooth, and what is left out pays for more directions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dreamshare.algorithms.bounds import clipped_field
from dreamshare.algorithms.moments.config import MomentsConfig
from dreamshare.algorithms.posteriors import told
from dreamshare.learning.moments import (
    FARTHEST,
    Basis,
    cosines,
    flattened,
    packed_size,
    pixels,
    repeated,
    size_of_map,
    unpacked_basis,
)
from dreamshare.updates import Field, PublicArray

MOST_PIXELS = 256
MOST_WHOLE = 200_000
"""Enough for ten classes of 14x14 values."""

MOST_NUMBERS = 140_000
"""373 kB where three lanes share a word: 14 bits and up to 128 devices (docs/protocol.md 12.3).

With frames, signatures and shares of keys that is below 400 kB up to 64 devices.
"""

SIZES = (128, 96, 64, 56, 48, 40, 32, 24, 16, 12, 8, 4, 2, 1)
SHARED: tuple[int, ...] = (*range(128, 64, -4), *SIZES[2:])
"""Of directions that channels share: more of them still help where `basis` has enough."""

ROWS = 4
"""Frequencies of a plane for each of its directions."""

DCT_COMPONENTS = 64
MOST_PLANES = 4
"""Channels that are colours; those of more are taken for sensors, which go together."""

MAPS = 32

CLIPPED_COMPONENTS = 196
"""Frequencies of a release with noise: more cost no example more, and 14x14 values have no more."""

CLIPPED_LOWEST = 64
"""Of these frequencies every class has second moments of its own."""

SPREAD = 8.0
"""Bound of a class's variance along a component, over the pooled one."""

REACH = 4.0
"""Bound of sketches of values, and of frequencies and their products, over their usual size."""

BRIGHT = 2.0
"""Bound of sketches of frequencies, over what pictures of one brightness have: most have less."""

FINE = 20
"""Bits of the few numbers that say how much of a class is in a sum."""


@dataclass(frozen=True, slots=True)
class Form:
    """What is asked for.

    Attributes:
        kind: "pixels", "basis", "dct", "maps" or "clipped".
        components: B; features for "maps".
        rows: L, values or lowest frequencies of a plane in the sketch; 0 without one.
        columns: T; 0 without a sketch.
        planes: mixtures of channels (brightness, opponent colours) that share the directions of a
            basis, B / planes of them; second moments are within one. 1: directions are of all
            values together.
    """

    kind: Literal["pixels", "basis", "dct", "maps", "clipped"]
    components: int
    rows: int = 0
    columns: int = 0
    planes: int = 1

    @property
    def seconds(self) -> int:
        """P, the second moments of a class."""
        return self.planes * packed_size(self.components // self.planes)

    def firsts(self, values: int) -> int:
        """Return the first moments of a class: of rows where there is a sketch, else of values."""
        return self.planes * self.rows or values


def form_of(config: MomentsConfig) -> Form:
    """Return the form of a config, by the rule where the config leaves it open."""
    values = config.space.values
    match config.form:
        case "pixels":
            return Form("pixels", values)
        case "dct":
            return Form("dct", config.components or min(values, DCT_COMPONENTS))
        case "maps":
            return Form("maps", config.components or MAPS * size_of_map(config.shape))
        case "clipped":
            return Form("clipped", config.components or min(values, CLIPPED_COMPONENTS))
        case "basis":
            return _found(config.components or _affordable(config, 1), values, 1)
        case "planes":
            planes = config.shape[0]
            each = config.components // planes or _affordable(config, planes)
            return _found(each, values, planes)
    whole = config.classes * (packed_size(values) + values)
    if values <= MOST_PIXELS and whole <= MOST_WHOLE:
        return Form("pixels", values)
    channels, height, width = config.shape
    planes = channels if channels <= MOST_PLANES and min(height, width) > 1 else 1
    return _found(_affordable(config, planes), values, planes)


def numbers_of(form: Form, values: int, classes: int) -> int:
    """Return how many numbers a device sends in the sums of moments."""
    if form.kind == "maps":
        return classes * (form.components + 1)
    first = classes * (form.firsts(values) + 1) + (values if form.kind != "pixels" else 0)
    return first + form.rows * form.columns + classes * form.seconds


def told_basis(config: MomentsConfig, form: Form, tensors: Mapping[str, PublicArray]) -> Basis:
    """Return the basis that was found and told.

    Raises:
        ConfigError: it did not come, or is none.
    """
    each = form.components // form.planes
    vectors_DB = told(tensors, "basis", (config.space.values // form.planes, each))
    return basis_of(form, vectors_DB, told(tensors, "scale", (each,)))


def basis_of(form: Form, bytes_DB: NDArray[np.generic], scale_B: NDArray[np.generic]) -> Basis:
    """Return the basis of these bytes and scales; ConfigError where they are none."""
    return repeated(unpacked_basis(bytes_DB, scale_B.astype(np.float64)), form.planes)


def public_basis(config: MomentsConfig, form: Form) -> Basis:
    """Return the basis of a form that needs no sum for it."""
    if form.kind == "pixels":
        return pixels(config.space.values)
    found = cosines(config.shape, form.components)
    # what one example adds to a release is bounded as a whole, and noise is alike in all of it
    return flattened(found) if form.kind == "clipped" else found


def plane_space(config: MomentsConfig, form: Form) -> Basis:
    """Return the public basis in which means and the sketch of a plane are summed."""
    if form.planes == 1:
        return pixels(config.space.values)
    return cosines((1, *config.shape[1:]), form.rows)


def lowest_of(form: Form) -> int:
    """Return of how many components a release has second moments by class."""
    return min(form.components, CLIPPED_LOWEST) if form.kind == "clipped" else 0


def count_fields(config: MomentsConfig) -> tuple[Field, ...]:
    """Return the fields of `count`."""
    return (
        Field("counts", (config.classes,), bound=float(config.max_examples), bits=FINE),
        Field("holders", (config.classes,), bound=1.0, bits=FINE),
    )


def sketch_fields(config: MomentsConfig, form: Form) -> tuple[Field, ...]:
    """Return the fields of `sketch`: first moments, squares, the sketch."""
    wide = config.space.values // form.planes
    reach = (REACH if form.planes == 1 else BRIGHT) * math.sqrt(wide / form.columns)
    fields = (
        *_first(config, form),
        Field("sketch", (form.rows, form.columns), bound=reach, bits=config.bits),
    )
    return (*fields, clipped_field(fields))


def describe_fields(config: MomentsConfig, form: Form) -> tuple[Field, ...]:
    """Return the fields of `describe`: what is left of the moments."""
    if form.kind == "maps":
        shape = (config.classes, form.components)
        means = (_share(config), Field("features", shape, bound=FARTHEST, bits=config.bits))
        return (*means, clipped_field(means))
    size = (config.classes, form.seconds)
    every = _first(config, form)
    firsts = {"pixels": every[:2], "dct": every, "basis": every[:1]}
    bound = {"pixels": 1.0, "dct": REACH, "basis": SPREAD}[form.kind]
    fields = (*firsts[form.kind], Field("second", size, bound=bound, bits=config.bits))
    return (*fields, clipped_field(fields))


def _share(config: MomentsConfig) -> Field:
    return Field("share", (config.classes,), bound=1.0, bits=FINE)


def _first(config: MomentsConfig, form: Form) -> tuple[Field, ...]:
    values = config.space.values
    shape, bound = (config.classes, form.firsts(values)), 1.0 if form.planes == 1 else REACH
    return (
        _share(config),
        Field("first", shape, bound=bound, bits=config.bits),
        Field("squares", (values,), bound=1.0, bits=config.bits),
    )


def _found(each: int, values: int, planes: int) -> Form:
    """Return a sketch of half as many columns again: more find the directions little better."""
    wide = values // planes
    rows = wide if planes == 1 else min(wide, ROWS * each)
    return Form("basis", each * planes, rows, min(rows, each + max(8, each // 2)), planes)


def _affordable(config: MomentsConfig, planes: int) -> int:
    values, classes = config.space.values, config.classes
    for count in SIZES if planes == 1 else SHARED:
        form = _found(count, values, planes)
        if count * planes <= values and numbers_of(form, values, classes) <= MOST_NUMBERS:
            return count
    return 1
