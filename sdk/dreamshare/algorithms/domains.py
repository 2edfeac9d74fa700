"""Accuracy on a device's own domain, on the others and on all, summed over the devices.

The tests are a public set that names the domain of each input; a device knows which domain its own
examples are from and says it to nobody.

Rules:
- own, other and all are sums over all devices: who has which domain is in none of them;
- a device that does not know its domain counts for "all" alone;
- where domains have different numbers of tests, the summed count of "own" tells how many devices
  have which: use equal numbers.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from dreamshare.errors import ConfigError
from dreamshare.learning.base import Data, GivesPosteriors
from dreamshare.learning.public import PublicSet, domain_of
from dreamshare.updates import Array, Field

KINDS = ("own", "other", "all")


def domain_fields(tests: int) -> tuple[Field, ...]:
    """Return the fields `domain_correct` and `domain_count` for a public set of `tests` inputs."""
    return (
        Field("domain_correct", (len(KINDS),), bound=float(tests), bits=20),
        Field("domain_count", (len(KINDS),), bound=float(tests), bits=20),
    )


def domain_evaluation(learner: GivesPosteriors, data: Data, tests: PublicSet) -> dict[str, Array]:
    """Return this device's sums.

    Raises:
        ConfigError: the public set lacks classes or domains.
    """
    if tests.y_N is None or tests.domains_N is None:
        raise ConfigError("the test set needs classes and domains for every input")
    right_N = learner.logits(tests.x_NCHW).argmax(axis=1) == tests.y_N
    own = domain_of(data)
    everything_N = np.ones(len(tests), bool)
    nothing_N = np.zeros(len(tests), bool)
    mine_N = nothing_N if own is None else tests.domains_N == own
    others_N = nothing_N if own is None else ~mine_N
    groups = (mine_N, others_N, everything_N)
    return {
        "domain_correct": np.array([float((right_N & group).sum()) for group in groups]),
        "domain_count": np.array([float(group.sum()) for group in groups]),
    }


def domain_accuracies(mean: Mapping[str, Array]) -> dict[str, float]:
    """Return "accuracy_own", "accuracy_other" and "accuracy_all", 0 to 1; 0 for what nobody has."""
    found = {}
    for i, kind in enumerate(KINDS):
        count = float(mean["domain_count"][i])
        right = float(mean["domain_correct"][i])
        found[f"accuracy_{kind}"] = float(np.clip(right / count, 0, 1)) if count >= 0.5 else 0.0
    return found
