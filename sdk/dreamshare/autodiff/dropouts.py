"""What a derivative is worth when its devices are not those of the value.

    strict      an error; for tests, and federations of a few organisations
    rescale     times the value's crowd over the derivative's, by size (default): right on
                average where devices leave for reasons that have nothing to do with their values
    resample    the same for a crowd that may hold others, too: an estimate for the population

Rules:
- a derivative counts for the crowd of its own value, named when the value was summed;
- asking for the value again from the devices that are left is refused: the two sums would differ by
  the values of those who left, and for one device that is its plain value.
"""

from __future__ import annotations

from dreamshare.errors import ConfigError, DreamshareError

POLICIES = ("strict", "rescale", "resample")


class CrowdChanged(DreamshareError):
    """A derivative came from other devices than its value, and the policy does not take it."""


def check_policy(policy: str) -> None:
    """Raise ConfigError unless this is a policy."""
    if policy == "restart":
        raise ConfigError(
            "dropouts='restart' is refused: a value summed again over the devices that are left "
            "differs from the first sum by the values of those who left; use 'rescale'"
        )
    if policy not in POLICIES:
        raise ConfigError(f"dropouts is {policy!r}; choose one of {', '.join(POLICIES)}")


def factor(policy: str, value: frozenset[bytes], derivative: frozenset[bytes]) -> float:
    """Return what a derivative's sum is multiplied with.

    Raises:
        CrowdChanged: the policy does not take this crowd.
    """
    if value == derivative:
        return 1.0
    gone, come = len(value - derivative), len(derivative - value)
    if policy == "strict" or (policy == "rescale" and come):
        hint = "use dropouts='resample'" if policy == "rescale" else "use dropouts='rescale'"
        raise CrowdChanged(
            f"of the {len(value)} devices of a value {gone} are missing in its derivative, and "
            f"{come} others are in it; {hint}, or compute the value anew with new arguments"
        )
    return len(value) / len(derivative)
