"""What a noisy task has cost so far, in the numbers of its reports.

Rules:
- a round costs what devices charge themselves for it: with its vectors, opened or not (12.7);
- the numbers of the reports are enough to add up again after a restart, so nothing else is stored;
- epsilon rests on the assumption of `honest_crowd` honest devices in every opened sum.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from dreamshare.errors import ConfigError
from dreamshare.protocol.messages import TaskReport
from dreamshare.protocol.outcomes import Spent
from dreamshare_crypto.accounting import Charge, epsilon
from dreamshare_crypto.errors import ParameterError

_CHARGE = ("noise_variance", "noise_l2", "noise_l1")


class Costs:
    """The rounds of one task.

    Args:
        delta: at which epsilon is counted.
        reports: of the task's earlier lives.

    Raises:
        ConfigError: a stored report does not say what it should.
    """

    def __init__(self, delta: float, reports: Iterable[TaskReport] = ()) -> None:
        self._delta = delta
        self._charges: list[Charge] = []
        self._least = math.inf
        self._honest = math.inf
        for report in reports:
            if _CHARGE[0] in report.metrics:
                self._take_up(report.metrics)

    def add(self, spent: Spent) -> Mapping[str, float]:
        """Count a round; return the numbers of its report."""
        charge = spent.charge
        numbers = dict(zip(_CHARGE, (charge.variance, charge.l2, charge.l1), strict=True))
        numbers |= {"noise_multiplier": spent.multiplier, "honest_crowd": float(spent.honest)}
        self._count(charge, spent.multiplier, spent.honest)
        return {**numbers, **self._epsilon()}

    def summary(self) -> Mapping[str, float]:
        """Return the numbers of the whole task: the least noise and crowd of its opened sums."""
        if not self._charges:
            return {}
        least = {"noise_multiplier": self._least, "honest_crowd": self._honest}
        known = {name: value for name, value in least.items() if math.isfinite(value)}
        return {"noisy_rounds": float(len(self._charges)), **known, **self._epsilon()}

    def _take_up(self, metrics: Mapping[str, float]) -> None:
        try:
            charge = Charge(*(metrics[name] for name in _CHARGE))
            self._count(charge, metrics["noise_multiplier"], metrics["honest_crowd"])
        except (KeyError, ParameterError) as error:
            raise ConfigError(f"a stored report of noise cannot be read: {error}") from None

    def _count(self, charge: Charge, multiplier: float, honest: float) -> None:
        self._charges.append(charge)
        self._honest = min(self._honest, honest)
        if multiplier:
            self._least = min(self._least, multiplier)

    def _epsilon(self) -> Mapping[str, float]:
        """Return epsilon and delta; without epsilon where it is infinite."""
        spent = epsilon(self._charges, self._delta)
        return {"delta": self._delta, **({"epsilon": spent} if math.isfinite(spent) else {})}
