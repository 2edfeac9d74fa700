"""Curves against direct computation and conversion against dp-accounting."""

from __future__ import annotations

import math
from importlib import import_module

import pytest

from dreamshare_crypto.accounting import NO_NOISE, Charge, Ledger, epsilon
from dreamshare_crypto.errors import ParameterError
from dreamshare_crypto.skellam import cumulative


def divergence(variance: float, shift: int, order: int) -> float:
    """Return the Renyi divergence of Skellam noise and itself moved by `shift`, summed directly."""
    rows = cumulative(variance)
    mass = [high - low for low, high in zip([0, *rows], rows, strict=False)]
    logs = [math.log(m) if m > 2**50 else None for m in mass]
    total = math.fsum(
        math.exp(order * here - (order - 1) * there - 128 * math.log(2))
        for here, there in zip(logs[shift:], logs, strict=False)
        if here is not None and there is not None
    )
    return math.log(total) / (order - 1)


@pytest.mark.parametrize("variance", [1.0, 4.0, 20.0, 400.0])
@pytest.mark.parametrize("shift", [1, 2, 3])
def test_the_curve_bounds_the_exact_divergence(variance: float, shift: int) -> None:
    """One coordinate moved by k: l2 = l1 = k. Tight (2 %) where the noise is large."""
    charge = Charge(variance, float(shift), float(shift))
    for order in (2, 3, 5, 8, 16):
        exact = divergence(variance, shift, order)
        assert exact <= charge.divergence(order)
        if variance == 400.0:
            assert charge.divergence(order) == pytest.approx(exact, rel=0.02)


def test_conversion_is_dp_accountings() -> None:
    """The same curve at the same orders gives the same epsilon, for the part of delta that is left.

    Three quarters of delta: the rest is kept for cut tails (12.6).
    """
    library = import_module("dp_accounting.rdp.rdp_privacy_accountant")
    from dreamshare_crypto.accounting import ORDERS

    for charge, rounds in ((Charge(100.0, 10.0, 30.0), 1), (Charge(9e4, 50.0, 900.0), 200)):
        curve = [rounds * charge.divergence(order) for order in ORDERS]
        theirs, _ = library.compute_epsilon(ORDERS, curve, 0.75e-5)
        assert epsilon([charge] * rounds, 1e-5) == pytest.approx(theirs, rel=1e-9)


def test_large_noise_is_gaussian() -> None:
    """At mu = 10^12 the correction vanishes: dp-accounting's Gaussian, 500 rounds of z = 14.3."""
    dp = import_module("dp_accounting")
    from dp_accounting import rdp

    accountant = rdp.RdpAccountant()
    accountant.compose(dp.SelfComposedDpEvent(dp.GaussianDpEvent(14.3), 500))
    charge = Charge((14.3 * 1e5) ** 2, 1e5, 1e5)
    assert charge.multiplier == pytest.approx(14.3)
    assert epsilon([charge] * 500, 1e-5) == pytest.approx(accountant.get_epsilon(0.75e-5), rel=2e-3)


def test_nothing_costs_nothing_and_no_noise_costs_everything() -> None:
    quiet = Charge(1e6, 1.0, 1.0)
    assert epsilon([], 1e-6) == 0.0
    assert epsilon([NO_NOISE], 1e-6) == math.inf
    assert epsilon([quiet] * 5 + [NO_NOISE], 1e-6) == math.inf
    assert NO_NOISE.multiplier == 0.0


def test_more_rounds_cost_more() -> None:
    charge = Charge(1e4, 10.0, 40.0)
    spent = [epsilon([charge] * rounds, 1e-6) for rounds in (1, 2, 10, 100)]
    assert spent == sorted(spent)
    assert spent[0] > 0


def test_tails_that_are_cut_are_part_of_delta() -> None:
    """(1 + e^epsilon) 2^-63 a round must fit a quarter of delta; at delta = 2^-60 it does not."""
    charge = Charge(1e4, 100.0, 100.0)
    assert math.isfinite(epsilon([charge], 1e-12))
    assert epsilon([charge], 2.0**-60) == math.inf


def test_delta_and_charges_out_of_range() -> None:
    for delta in (0.0, 1.0, -1.0):
        with pytest.raises(ParameterError):
            epsilon([NO_NOISE], delta)
    for values in ((-1.0, 1.0, 1.0), (1.0, math.nan, 1.0), (1.0, 1.0, math.inf)):
        with pytest.raises(ParameterError):
            Charge(*values)


def test_ledger_counts_a_round_once_and_forgets_periods() -> None:
    ledger, charge = Ledger(), Charge(1e4, 10.0, 40.0)
    ledger.note(b"a", 0, charge, 100.0)
    ledger.note(b"a", 0, NO_NOISE, 300.0)  # one (session, round) has one vector
    ledger.note(b"a", 1, charge, 200.0)
    ledger.note(b"b", 0, charge, 300.0)
    assert ledger.charges(0.0) == (charge,) * 3
    assert ledger.charges(200.0) == (charge,) * 2
    assert ledger.epsilon(200.0, 1e-6, (charge,)) == epsilon([charge] * 3, 1e-6)
    ledger.forget(250.0)
    assert ledger.charges(0.0) == (charge,)


def test_charges_beyond_every_float_cost_everything() -> None:
    """Offers may name clips of any size; their sum is infinite and no error."""
    absurd = [Charge(0.05, 4.4e151, 4.5e107), Charge(0.13, 1.0e152, 2.2e7)]
    assert epsilon(absurd, 1e-6) == math.inf
