"""The figures of a result and the JSON that people and programs read."""

from __future__ import annotations

import dataclasses
import json

import pytest

from dreamshare.errors import ConfigError
from dreamshare_cli.demo.figures import result_json
from dreamshare_cli.demo.result import confirm
from tests.unit.demo import made_up


def test_means_are_over_the_devices_that_were_alive_at_the_end() -> None:
    whole, short = made_up.result(4), made_up.result(4, lost=1)
    # Device n starts at 52 + 6n; alone gains 5, with its histogram 7, with dreams 15 points, with
    # moments 20.
    assert whole.mean_before("codream") == pytest.approx(52 + 6 * (1 + 2 + 3 + 4) / 4)
    assert short.mean_before("codream") == pytest.approx(52 + 6 * (1 + 2 + 3) / 3)
    for one in (whole, short):
        before = one.mean_before("moments")
        assert one.mean_independent == pytest.approx(before + 5)
        assert one.mean_balanced == pytest.approx(before + 7)
        assert one.mean("codream") == pytest.approx(before + 15)
        assert one.mean("moments") == pytest.approx(before + 20)
        assert one.best.name == "moments"


def test_json_has_what_the_command_promises() -> None:
    body = json.loads(result_json(made_up.result(4, lost=1)))
    promised = {
        "mean_independent", "mean_balanced", "mean_codream", "clients", "rounds", "aggregations",
        "dropped", "bytes_up_per_client", "bytes_down_per_client", "seconds",
        "secure_aggregation", "seed", "devices", "out", "runtime", "mean_moments", "algorithms",
    }  # fmt: skip
    assert promised <= set(body)
    assert (body["devices"], body["dropped"], body["rounds"]) == (4, 1, 5)
    assert body["bytes_up_per_client"] == 2_000_002  # mean of 2,000,001 to 2,000,003
    assert body["secure_aggregation"] is True
    client_keys = {
        "id", "architecture", "examples", "independent", "balanced", "codream", "before", "alive",
        "bytes_up", "bytes_down", "runtime", "moments", "algorithms",
    }  # fmt: skip
    assert all(client_keys <= set(c) for c in body["clients"])
    assert [c["alive"] for c in body["clients"]] == [True, True, True, False]
    assert body["clients"][3]["independent"] is None


def test_json_tells_rounds_and_bytes_of_each_algorithm() -> None:
    body = json.loads(result_json(made_up.result(4)))
    assert body["algorithms"]["moments"] == {
        "mean": body["mean_moments"], "rounds": 1, "aggregations": 2, "abandoned": 0, "dropped": 0,
        "bytes_up_per_client": 43_002, "bytes_down_per_client": 96_002, "seconds": 9.5,
        "secure_aggregation": True,
    }  # fmt: skip
    assert body["algorithms"]["codream"]["bytes_up_per_client"] == body["bytes_up_per_client"]
    assert body["clients"][0]["algorithms"]["moments"]["sums"] == 2


@pytest.mark.parametrize(("name", "other"), [("moments", "codream"), ("codream", "moments")])
def test_what_was_not_run_is_null_and_the_other_one_takes_the_first_place(
    name: str, other: str
) -> None:
    whole = json.loads(result_json(made_up.result(4)))
    body = json.loads(result_json(made_up.result(4, names=(name,))))
    assert body.keys() == whole.keys()
    assert (body[f"mean_{name}"], body[f"mean_{other}"]) == (whole[f"mean_{name}"], None)
    assert body["clients"][0][other] is None
    assert list(body["algorithms"]) == [name]
    assert body["aggregations"] == body["algorithms"][name]["aggregations"]
    assert body["bytes_up_per_client"] == body["algorithms"][name]["bytes_up_per_client"]


def test_one_run_that_is_not_confirmed_is_enough() -> None:
    assert made_up.result().secure_aggregation
    assert not made_up.unconfirmed(made_up.result()).secure_aggregation


def test_nothing_that_was_run_is_not_a_result() -> None:
    with pytest.raises(ConfigError, match="no algorithm was run"):
        made_up.result(names=())


def test_json_is_one_line_unless_asked_for_more() -> None:
    result = made_up.result()
    assert "\n" not in result_json(result)
    assert json.loads(result_json(result, indent=2)) == json.loads(result_json(result))


def test_a_survivor_without_figures_is_an_error_and_not_a_mean_over_the_rest() -> None:
    result = made_up.result(4)
    mute = dataclasses.replace(result.clients[0], balanced=None)
    broken = dataclasses.replace(result, clients=(mute, *result.clients[1:]))
    with pytest.raises(ConfigError, match="did not report 'balanced'"):
        result_json(broken)


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
