"""A task as the page's form sends it."""

from __future__ import annotations

import json

import pytest

from dreamshare.errors import ConfigError
from dreamshare.protocol.messages import Cohort
from dreamshare_aggregator.web.orders import order_from, templates


def form(**changes: object) -> bytes:
    values: dict[str, object] = {"algorithm": "evaluate/1", "least": 4, "most": 8} | changes
    return json.dumps(values).encode()


def test_a_form_becomes_an_order() -> None:
    order = order_from(form(name="first", seed=3, config={"max_examples": 100}))
    assert order.algorithm == "evaluate/1"
    assert order.config == b'{"max_examples":100}'
    assert order.cohort == Cohort(4, 8)
    assert (order.seed, order.name, order.privacy) == (3, "first", None)
    noisy = order_from(form(epsilon=2.0)).privacy
    assert noisy is not None
    assert noisy.epsilon == 2.0


def test_a_template_is_a_form_that_can_be_sent() -> None:
    config = json.loads(templates()["evaluate/1"])
    assert order_from(form(config=config)).algorithm == "evaluate/1"
    assert json.loads(templates()["codream/1"])["shape"] is None, "nobody can guess it"


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b"", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "the form is an object"),
        (form(extra=1), "unknown fields: extra"),
        (form(algorithm=3), "algorithm is a text"),
        (form(algorithm="none/1"), "is not registered"),
        (form(config=[]), "config is an object"),
        (form(config={"max_examples": 0}), "max_examples is 0"),
        (form(config={"max_exampels": 1}), "max_exampels"),
        (form(least=4.5), "least is a whole number"),
        (form(least=True), "least is a whole number"),
        (form(most=-1), "most is a whole number"),
        (form(epsilon="1"), "epsilon is a number"),
        (form(name="a\x1b[31m"), "printable"),
        (form(name="x" * 65), "at most 64"),
    ],
)
def test_what_is_no_order_is_refused_in_words(body: bytes, fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        order_from(body)
