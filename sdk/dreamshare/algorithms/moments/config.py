"""The config of `moments/1`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dreamshare.algorithms.checks import choice, inputs, not_negative, positive, whole
from dreamshare.algorithms.students import StudentKind
from dreamshare.errors import ConfigError
from dreamshare.learning.moments import Space, size_of_map
from dreamshare.learning.objectives import Optimizer

FormName = Literal["auto", "pixels", "basis", "planes", "dct", "maps", "clipped"]
Told = Literal["sums", "set"]
Mix = Literal["fill", "beside", "synthetic"]
Schedule = Literal["cosine", "constant"]

MOST_VALUES = 2**28
"""Of a set, a byte each: a quarter of what a stored state may hold."""

MOST_FEATURES = 2**16
MOST_MATCHED = 100
"""Pictures of a class that are optimised at once."""

LARGEST_PIXELS = 1024
"""Most values of an input whose whole covariance is asked for, if that is asked for by name."""


@dataclass(frozen=True, slots=True)
class MomentsConfig:
    """A run of `moments/1`.

    Attributes:
        shape: (channels, height, width) of an input.
        classes: K, 2 to 10,000.
        seed: of everything that is public, >= 0.
        low, high: range of an input's values; what lies outside is clipped before it is summed.
        ranges: (low, high) of each channel where they differ, as columns of a table and sensors of
            a series do; empty: one range for all.

        form: where second moments are taken: "pixels" (of all values, up to 1,024 of them), "basis"
            (directions of most spread, from a sum of their own), "planes" (such directions of low
            frequencies that brightness and opponent colours share, each with components of its
            own), "dct" (lowest frequencies), "maps" (means of public random features instead, and
            pictures that the aggregator optimises to have them: as many numbers whatever the size
            of an input; needs told "set" and at most 100 `images`), "clipped" (lowest frequencies,
            in one sum with noise that hides every example: `released`), or "auto": by the rule of
            `forms`.
        components: of the basis or the lowest frequencies, 1 to the number of values, a multiple of
            the channels for "planes"; features for "maps", a multiple of a map's (144 for pictures
            of 3x3 pixels or more); 0: by rule.
        bits: of a moment in the sums, 8 to 20; 12 to 16 are sensible.
        least_examples: classes with fewer in the whole cohort are left out, >= 1.
        least_holders: as are those that fewer devices have, >= 1.
        max_examples: most examples of a device that are summed, 1 to 2^24.
        shrinkage: examples that the pooled covariance counts as beside a class's own, >= 0.
        rectify: draw the normals behind clamped values.
        epsilon, delta: of form "clipped": what the release may cost any one example, > 0, and
            between 0 and 1.
        centre: of form "clipped": public guess of a value's mean, as a share of the range, 0 to 1.
        radius: of form "clipped": distance from it to which examples are shortened, over the root
            of the number of values times half the range, coarse detail counting less than fine
            (`learning.moments.flattened`), > 0.

        told: devices get the "sums" and draw the set themselves, or the "set".
        keep: devices keep the set, so that later tasks can name it by its digest as their public
            set; needs told "set", which is the same bytes for all.
        images: of the set, for each class, 1 to 100,000; all their values at most 2^28.
        match_steps, match_rate: of form "maps": steps of the pictures, 1 to 100,000, and the rate
            of the first, in values from -1 to 1, > 0.
        mix: "fill": every batch has all classes equally often, an example being the device's own
            with the probability that its share of the class gives, and synthetic otherwise;
            "beside": a batch of own and one of synthetic examples; "synthetic": these alone.
        fill_power: of that share, > 0; smaller keeps more of the device's own examples.

        warm_up_epochs: local passes before anything is asked, >= 0.
        warm_up_rate: their rate, > 0.
        local_batch: own examples of a step of warm-up or of "beside", >= 2.
        balanced: balanced softmax there, with the device's own label histogram.
        fit_steps: optimiser steps with the set, >= 0.
        batch: examples of such a step, >= 2 ("fill", "synthetic").
        synthetic_batch: synthetic ones beside own ones, >= 2; and of the student.
        optimizer, learning_rate, weight_decay: of the device.
        schedule: of the rate over `fit_steps`: "cosine" to nothing, or "constant".

        student: "small": a classifier in numpy that sees the set alone; "none".
        student_width, student_steps, student_rate: of it.
        evaluate: masked accuracy and loss at the end.
        compare: a masked accuracy of devices that train on their own examples alone, too, before
            they learn from the set: each tries it and goes back to the weights that it had. Takes
            `fit_steps` steps more, and `evaluate`.
        least_gain: points of accuracy, 0 to 1, below which the run ends with the advice to use
            another algorithm.
    """

    shape: tuple[int, int, int]
    classes: int
    seed: int = 0
    low: float = 0.0
    high: float = 1.0
    ranges: tuple[tuple[float, float], ...] = ()

    form: FormName = "auto"
    components: int = 0
    bits: int = 14
    least_examples: int = 10
    least_holders: int = 1
    max_examples: int = 16_384
    shrinkage: float = 5.0
    rectify: bool = True
    epsilon: float = 8.0
    delta: float = 1e-5
    centre: float = 0.3
    radius: float = 0.6

    told: Told = "sums"
    keep: bool = False
    images: int = 1000
    match_steps: int = 200
    match_rate: float = 0.1
    mix: Mix = "fill"
    fill_power: float = 1.0

    warm_up_epochs: int = 12
    warm_up_rate: float = 0.002
    local_batch: int = 64
    balanced: bool = True
    fit_steps: int = 150
    batch: int = 128
    synthetic_batch: int = 64
    optimizer: Optimizer = "adam"
    learning_rate: float = 0.002
    weight_decay: float = 0.0001
    schedule: Schedule = "cosine"

    student: StudentKind = "none"
    student_width: int = 16
    student_steps: int = 200
    student_rate: float = 0.002
    evaluate: bool = False
    compare: bool = False
    least_gain: float = 0.01

    def __post_init__(self) -> None:
        inputs(self.shape, self.low, self.high)
        for name, least, most in _WHOLE:
            whole(self, name, least, most)
        positive(self, "warm_up_rate", "learning_rate", "student_rate", "fill_power")
        positive(self, "epsilon", "delta", "radius", "match_rate")
        not_negative(self, "weight_decay", "shrinkage")
        for name, choices in _CHOICES:
            choice(self, name, choices)
        if self.keep and self.told != "set":
            raise ConfigError("keep needs told 'set': sets that devices draw differ in grey levels")
        if self.compare and not self.evaluate:
            raise ConfigError("compare needs evaluate: there is nothing to compare with")
        if not 0 <= self.least_gain < 1:
            raise ConfigError(f"least_gain is {self.least_gain}; choose 0 up to 1")
        values = self.space.values
        if self.form == "maps":
            _mapped(self)
        elif self.components > values:
            raise ConfigError(f"components is {self.components}; an input has {values} values")
        if self.form == "pixels" and values > LARGEST_PIXELS:
            raise ConfigError(
                f"form 'pixels' with {values} values; above {LARGEST_PIXELS} use 'basis' or 'dct'"
            )
        if self.form in ("auto", "pixels") and self.components:
            raise ConfigError("components go with 'basis', 'planes', 'dct', 'maps' or 'clipped'")
        if not (self.delta < 1 and 0 <= self.centre <= 1):
            raise ConfigError(
                f"delta {self.delta} must be below 1, centre {self.centre} lie in 0 to 1"
            )
        if self.form == "clipped" and (self.evaluate or self.least_holders > 1):
            raise ConfigError(
                "form 'clipped' is one sum that hides every example: no evaluate, least_holders 1"
            )
        if self.form == "planes" and self.components % self.shape[0]:
            raise ConfigError(f"components must be a multiple of the {self.shape[0]} channels")
        if self.classes * self.images * values > MOST_VALUES:
            raise ConfigError(
                f"{self.images} images of {self.classes} classes are over {MOST_VALUES} values"
            )

    @property
    def space(self) -> Space:
        """Where inputs lie."""
        return Space(self.shape, self.low, self.high, self.ranges)


def _mapped(config: MomentsConfig) -> None:
    """Raise ConfigError where pictures cannot be matched."""
    each = size_of_map(config.shape)
    if config.components % each or config.components > MOST_FEATURES:
        raise ConfigError(
            f"components is {config.components}; of such inputs a map has {each} features, so "
            f"choose a multiple of that up to {MOST_FEATURES}"
        )
    if config.told != "set" or config.images > MOST_MATCHED:
        raise ConfigError(
            "form 'maps' has the aggregator optimise the pictures: it needs told 'set' and at most "
            f"{MOST_MATCHED} images of a class, such as images = 20"
        )


_WHOLE = (
    ("classes", 2, 10_000),
    ("seed", 0, 2**63 - 1),
    ("components", 0, 2**20),
    ("bits", 8, 20),
    ("least_examples", 1, 2**24),
    ("least_holders", 1, 2**16),
    ("max_examples", 1, 2**24),
    ("images", 1, 100_000),
    ("match_steps", 1, 100_000),
    ("warm_up_epochs", 0, 10_000),
    ("local_batch", 2, 65_536),
    ("fit_steps", 0, 1_000_000),
    ("batch", 2, 65_536),
    ("synthetic_batch", 2, 65_536),
    ("student_width", 1, 4096),
    ("student_steps", 0, 1_000_000),
)

_CHOICES: tuple[tuple[str, object], ...] = (
    ("form", FormName),
    ("told", Told),
    ("mix", Mix),
    ("optimizer", Optimizer),
    ("schedule", Schedule),
    ("student", StudentKind),
)
