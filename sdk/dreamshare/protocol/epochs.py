"""When an epoch begins and when the next one must follow (docs/protocol.md, 4.11, 13.1)."""

from __future__ import annotations

from dreamshare.protocol.border import crypto_border
from dreamshare.protocol.terms import TaskTerms
from dreamshare_crypto.graph import derive_parameters
from dreamshare_crypto.secagg.server import SecaggServer


def least_active(terms: TaskTerms, members: int) -> int:
    """Return A_min for a roster of this size (4.4)."""
    epoch = terms.epoch(1)
    with crypto_border():
        derived = derive_parameters(
            n=members,
            gamma_ppm=epoch.gamma_ppm,
            delta_ppm=epoch.delta_ppm,
            sigma=epoch.sigma,
            eta=epoch.eta,
            a_min_ppm=epoch.a_min_ppm,
            least_cohort=epoch.least_cohort,
        )
    return derived.a_min


def must_renew(
    server: SecaggServer, terms: TaskTerms, members: int, here: int, waiting: int, now: float
) -> bool:
    """Say whether the next round needs another epoch.

    Args:
        server: the running epoch, no round open.
        terms: the task's.
        members: how many devices the epoch began with.
        here: how many of the devices that the next round is open to are connected.
        waiting: how many willing devices are connected and not among those.
        now: Unix seconds.
    """
    longest = terms.deadlines.collect_s + terms.deadlines.reveal_s
    if server.rounds_left == 0 or server.deadline is None or server.deadline - now < longest:
        return True
    if here < least_active(terms, members):
        return True
    batch = max(1, -(-members // 10))
    room = terms.cohort.most - here
    return min(waiting, room) >= batch and here + waiting >= terms.cohort.least
