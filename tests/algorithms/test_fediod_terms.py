"""Values and gradients of FedIOD's terms against autograd, limits and identities."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dreamshare.algorithms.fediod import terms
from dreamshare.learning.measures import log_softmax, softmax

ALL = np.ones(4, bool)


def logits(seed: int, *shape: int, spread: float = 2.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, spread, shape)


def test_a_high_temperature_is_the_limit_in_value_and_gradients():
    t, s = logits(0, 5, 4), logits(1, 5, 4)
    limit = terms.distance("limit", 1.0, t, s, ALL)
    high = terms.distance("kl", 1e4, t, s, ALL)
    centred = (s - s.mean(axis=1, keepdims=True)) - (t - t.mean(axis=1, keepdims=True))
    np.testing.assert_allclose(limit.value_B, np.square(centred).sum(axis=1) / 8)
    np.testing.assert_allclose(limit.student_BK, centred / 4)
    np.testing.assert_allclose(high.value_B, limit.value_B, rtol=1e-3)
    np.testing.assert_allclose(high.student_BK, limit.student_BK, atol=1e-3)
    np.testing.assert_allclose(high.ensemble_BK, limit.ensemble_BK, atol=1e-3)


def test_the_limit_has_a_value_where_single_precision_has_noise():
    """The reference takes T = 10,001 in float32: there the loss is rounding (2.5 for 5.5)."""
    t, s = logits(2, 16, 4), logits(3, 16, 4)
    true = terms.distance("limit", 1.0, t, s, ALL).value_B.mean()
    hot = 10_001.0
    log_p, log_q = ((torch.tensor(a).float() / hot).log_softmax(1) for a in (t, s))
    coarse = float(hot**2 * (log_p.exp() * (log_p - log_q)).sum(1).mean())
    assert abs(coarse - true) > 0.1 * true
    fine = terms.distance("kl", hot, t, s, ALL).value_B.mean()
    assert fine == pytest.approx(true, rel=1e-2)


@pytest.mark.parametrize("kind", ["limit", "kl"])
def test_distances_are_differentiated_as_autograd_does(kind):
    t, s = (torch.tensor(logits(i, 5, 4), requires_grad=True) for i in (4, 5))
    if kind == "limit":
        a, b = (x - x.mean(dim=1, keepdim=True) for x in (t, s))
        value = (b - a).square().sum(dim=1) / 8
    else:
        p = (t / 3).softmax(1)
        value = 9 * (p * (p.log() - (s / 3).log_softmax(1))).sum(dim=1)
    value.sum().backward()
    found = terms.distance(kind, 3.0, t.detach().numpy(), s.detach().numpy(), ALL)
    np.testing.assert_allclose(found.value_B, value.detach().numpy(), rtol=1e-9)
    np.testing.assert_allclose(found.ensemble_BK, t.grad.numpy(), rtol=1e-7, atol=1e-10)
    np.testing.assert_allclose(found.student_BK, s.grad.numpy(), rtol=1e-7, atol=1e-10)


def test_a_class_that_nobody_has_is_in_no_distance():
    known = np.array([True, False, True, True])
    t, s = logits(6, 5, 4), logits(7, 5, 4)
    found = terms.distance("limit", 1.0, t, s, known)
    moved = s.copy()
    moved[:, 1] += 100.0
    again = terms.distance("limit", 1.0, t, moved, known)
    np.testing.assert_array_equal(found.value_B, again.value_B)
    assert not found.student_BK[:, 1].any() and not found.ensemble_BK[:, 1].any()


@pytest.mark.parametrize("kind", ["code", "uniqueness"])
def test_one_devices_divergence_needs_sums_alone(kind):
    """The gradient of the whole divergence with respect to each of three devices' logits."""
    z = torch.tensor(logits(8, 3, 5, 4, spread=3.0), requires_grad=True)
    p = z.softmax(2)
    m = p.mean(dim=0)
    if kind == "code":
        value = (m * (m.log() - p.clamp(min=terms.LEAST).log())).sum() / 3
    else:
        value = -(m * m.log()).sum() + (p * p.log()).sum() / 3
    value.backward()
    logs = [log_softmax(each) for each in z.detach().numpy()]
    mean = np.mean([np.exp(each) for each in logs], axis=0)
    cut = np.mean([terms.cut_logs(each) for each in logs], axis=0)
    for own, wanted in zip(logs, z.grad.numpy(), strict=True):
        found = terms.divergence(kind, np.exp(own), own, mean, cut) / 3
        np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-9)


def test_the_generalised_jensen_shannon_divergence_has_both_forms():
    """H(mean) - mean H = mean KL(p_k || mean) >= 0, and 0 where all agree."""
    p = softmax(logits(9, 3, 5, 4))
    m = p.mean(axis=0)
    entropies = -(m * np.log(m)).sum() + np.mean([(q * np.log(q)).sum() for q in p])
    divergences = np.mean([(q * np.log(q / m)).sum() for q in p])
    assert entropies == pytest.approx(divergences) and entropies > 0
    same = p[0]
    none = terms.divergence("uniqueness", same, np.log(same), same, None)
    np.testing.assert_allclose(none, 0, atol=1e-12)


@pytest.mark.parametrize("kind", ["confidence", "balance"])
def test_own_terms_are_differentiated_as_autograd_does(kind):
    z = torch.tensor(logits(10, 5, 4), requires_grad=True)
    p = z.softmax(1)
    m = p.mean(dim=0)
    value = -(p * p.log()).sum() if kind == "confidence" else 5 * (m * m.log2()).sum()
    value.backward()
    log_p = log_softmax(z.detach().numpy())
    own = np.exp(log_p)
    found = terms.confidence(own, log_p) if kind == "confidence" else terms.balance(own)
    np.testing.assert_allclose(found, z.grad.numpy(), rtol=1e-6, atol=1e-9)
