"""The figures of a result and the JSON that people and programs read."""

from __future__ import annotations

import dataclasses
import json

import pytest

from dreamshare.errors import ConfigError
from dreamshare_cli.demo.result import confirm
from tests.unit.demo import made_up


def test_means_are_over_the_devices_that_were_alive_at_the_end() -> None:
    whole, short = made_up.result(4), made_up.result(4, lost=1)
    # Device n starts at 52 + 6n; alone gains 5, with its histogram 7, with dreams 15 points.
    assert whole.mean_before == pytest.approx(52 + 6 * (1 + 2 + 3 + 4) / 4)
    assert short.mean_before == pytest.approx(52 + 6 * (1 + 2 + 3) / 3)
    for one in (whole, short):
        assert one.mean_independent == pytest.approx(one.mean_before + 5)
        assert one.mean_balanced == pytest.approx(one.mean_before + 7)
        assert one.mean_codream == pytest.approx(one.mean_before + 15)


def test_json_has_what_the_command_promises() -> None:
    body = json.loads(made_up.result(4, lost=1).to_json())
    promised = {
        "mean_independent", "mean_balanced", "mean_codream", "clients", "rounds", "aggregations",
        "dropped", "bytes_up_per_client", "bytes_down_per_client", "seconds",
        "secure_aggregation", "seed", "devices", "out", "runtime",
    }  # fmt: skip
    assert promised <= set(body)
    assert (body["devices"], body["dropped"], body["rounds"]) == (4, 1, 5)
    assert body["bytes_up_per_client"] == 2_000_002  # mean of 2,000,001 to 2,000,003
    assert body["secure_aggregation"] is True
    client_keys = {
        "id", "architecture", "examples", "independent", "balanced", "codream", "before", "alive",
        "bytes_up", "bytes_down", "runtime",
    }  # fmt: skip
    assert all(client_keys <= set(c) for c in body["clients"])
    assert [c["alive"] for c in body["clients"]] == [True, True, True, False]
    assert body["clients"][3]["independent"] is None


def test_json_is_one_line_unless_asked_for_more() -> None:
    result = made_up.result()
    assert "\n" not in result.to_json()
    assert json.loads(result.to_json(indent=2)) == json.loads(result.to_json())


def test_a_survivor_without_figures_is_an_error_and_not_a_mean_over_the_rest() -> None:
    result = made_up.result(4)
    mute = dataclasses.replace(result.clients[0], balanced=None)
    broken = dataclasses.replace(result, clients=(mute, *result.clients[1:]))
    with pytest.raises(ConfigError, match="did not report 'balanced'"):
        broken.to_json()


def test_nobody_alive_is_not_a_result() -> None:
    with pytest.raises(ConfigError, match="no device was alive"):
        made_up.result(4, lost=4)


@pytest.mark.parametrize(
    ("says", "aggregations", "seen", "confirmed"),
    [
        (True, 60, (60, 60, 60), True),
        (False, 60, (60, 60, 60), False),  # the aggregator merged something else
        (True, 60, (60, 59, 60), False),  # a sum that a survivor never saw closed
        (True, 60, (60, 61, 60), False),  # a sum that the aggregator does not own up to
        (True, 0, (0, 0, 0), False),  # nothing was summed
        (True, 60, (), False),  # nobody confirms
    ],
)
def test_secure_aggregation_needs_both_accounts(
    says: bool, aggregations: int, seen: tuple[int, ...], confirmed: bool
) -> None:
    assert confirm(says, aggregations, seen) is confirmed
