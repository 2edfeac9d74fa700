"""The device owner's say about a plan, before anything of it is computed.

Rules:
- a permit is asked for each plan, of a round and of a Tell, and may count what it allowed;
- it says no by raising; the text stays on the device and only the code travels (10.1).
"""

from __future__ import annotations

from typing import Protocol

from dreamshare.errors import ConfigError, PrivacyError, UnsafePlan
from dreamshare.protocol.plan import RoundPlan
from dreamshare_crypto.errors import RefusalCode


class Permits(Protocol):
    """Decides whether this device computes a plan."""

    def __call__(self, plan: RoundPlan) -> None:
        """Return when the plan is allowed.

        Raises:
            UnsafePlan: the plan lies below the device's floor (S5).
            BudgetExhausted: nothing is left for it (S6).
            ConfigError: algorithm, step or config are not registered here (S6).
        """
        ...


def refusal_of(permits: Permits, plan: RoundPlan) -> tuple[RefusalCode, str] | None:
    """Ask, and return the code of docs/protocol.md section 10 with a text, or None when allowed."""
    try:
        permits(plan)
    except UnsafePlan as error:
        return RefusalCode.S5, str(error)
    except (PrivacyError, ConfigError) as error:
        return RefusalCode.S6, str(error)
    return None
