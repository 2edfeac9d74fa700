"""Spans cover what they divide, once and in order; threads change neither results nor errors."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamshare_crypto.errors import ParameterError
from dreamshare_crypto.parallel import over_spans, spans


@given(
    length=st.integers(0, 1000),
    pieces=st.integers(1, 12),
    multiple=st.integers(1, 70),
)
def test_spans_cover_everything_once(length: int, pieces: int, multiple: int) -> None:
    found = spans(length, pieces, multiple)
    assert [i for span in found for i in range(span.start, span.stop)] == list(range(length))
    assert len(found) <= pieces
    assert all((span.stop - span.start) % multiple == 0 for span in found[:-1])


def test_nearly_one_size() -> None:
    """100 items in units of 8 are 13 units: 4, 4 and 5 of them, the last one cut."""
    assert spans(100, 3, 8) == (slice(0, 32), slice(32, 64), slice(64, 100))


def test_no_thread_is_refused() -> None:
    with pytest.raises(ParameterError, match="at least 1"):
        spans(10, 0)


def test_results_come_in_order_and_one_span_stays_here() -> None:
    here = threading.get_ident()
    both = threading.Barrier(2, timeout=30)  # passes only when the two are at work together

    def work(span: slice) -> tuple[int, bool]:
        both.wait()
        return span.start, threading.get_ident() == here

    assert over_spans(spans(10, 2), work) == [(0, True), (5, False)]
    assert over_spans(spans(10, 1), lambda _: threading.get_ident()) == [here]
    assert over_spans((), lambda _: 1) == []


@pytest.mark.parametrize("failing", [{0}, {5}, {0, 5}])
def test_the_first_failure_by_position_is_raised(failing: set[int]) -> None:
    def work(span: slice) -> None:
        if span.start in failing:
            raise ValueError(str(span.start))

    with pytest.raises(ValueError, match=str(min(failing))):
        over_spans(spans(10, 2), work)
