"""What an agent computes with: a learner, the device's data and, if there is one, a held-out set.

The factory is named in the device's *own* settings (`[learner] factory = "package.module:name"`):
code never travels, and nothing that the aggregator sends can name one. It is called once:

    def digits(settings: Mapping[str, str | int | float | bool]) -> Equipment:
        return Equipment(TorchLearner(net, ...), MyData(...), holdout=Batch(x, y))
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from dreamshare.errors import ConfigError
from dreamshare.learning.base import Batch, Data, Learner
from dreamshare.settings import Scalar


@dataclass(frozen=True, slots=True)
class Equipment:
    """A learner with its data.

    Attributes:
        learner: what computes.
        data: the device's own examples.
        holdout: labelled examples that are never trained on, for the device's own report; or None.
        label: what the operator may see beside the device's id, e.g. the architecture.
    """

    learner: Learner
    data: Data
    holdout: Batch | None = None
    label: str = ""

    def accuracy(self) -> float | None:
        """Return the part of the held-out examples that are classified rightly, 0 to 1."""
        if self.holdout is None or self.holdout.y_N is None:
            return None
        logits_NK = self.learner.logits(self.holdout.x_NCHW)
        return float(np.mean(logits_NK.argmax(axis=1) == self.holdout.y_N))


Factory = Callable[[Mapping[str, Scalar]], Equipment]


def load_equipment(name: str, settings: Mapping[str, Scalar]) -> Equipment:
    """Import 'package.module:function', call it with `settings`, return what it made.

    Raises:
        ConfigError: the name leads nowhere, or what it names does not make an Equipment.
    """
    module_name, _, attribute = name.partition(":")
    if not module_name or not attribute:
        raise ConfigError(f"learner factory {name!r} must read 'package.module:function'")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"learner factory {name!r}: there is no module {error.name!r}; is it installed?"
        ) from None
    factory = getattr(module, attribute, None)
    if not callable(factory):
        raise ConfigError(f"learner factory {name!r}: {module_name} has no function {attribute!r}")
    made = factory(settings)
    if not isinstance(made, Equipment):
        raise ConfigError(
            f"learner factory {name!r} returned {type(made).__name__}; "
            "it must return a dreamshare_edge.Equipment"
        )
    return made
