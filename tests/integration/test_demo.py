"""`dreamshare demo` for real: processes, sockets, nets, a killed device, signals, a crash."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dreamshare_aggregator.capture import read_capture
from dreamshare_cli.demo.setting import codream_config
from tests.integration.children import processes_of
from tests.services import tethered

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

COMMAND = (sys.executable, "-m", "dreamshare_cli", "demo")


@contextmanager
def started(out: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """Start a demo; whatever the test finds, nothing of it is left afterwards."""
    demo = subprocess.Popen(
        tethered([*COMMAND, "--out", out, *options]),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield demo
    finally:
        if demo.poll() is None:
            demo.send_signal(signal.SIGTERM)
        demo.communicate()


def read_until(demo: subprocess.Popen[str], words: str) -> None:
    """Read standard error until a line holds `words`."""
    assert demo.stderr is not None
    seen = ""
    for line in demo.stderr:
        seen += line
        if words in line:
            return
    raise AssertionError(f"the demo never said {words!r}, but:\n{seen}")


Dropped = tuple[Path, subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def dropped(tmp_path_factory: pytest.TempPathFactory) -> Dropped:
    """One short run with a device killed in its middle, captured."""
    folder = tmp_path_factory.mktemp("demo")
    options = ["--drop", "--json", "--cycles", "2", "--capture", str(folder / "received")]
    done = subprocess.run(
        [*COMMAND, "--out", str(folder / "out"), *options],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder, done


def test_standard_output_is_one_object_with_the_promised_figures(dropped: Dropped) -> None:
    folder, done = dropped
    body = json.loads(done.stdout)
    assert done.stdout.count("\n") == 1
    assert body == json.loads((folder / "out" / "result.json").read_text())
    assert (body["devices"], body["dropped"], body["seed"]) == (4, 1, 0)
    # The count of labels, then in each cycle the steps of the dreams and their soft labels.
    steps = codream_config(seed=0, cycles=2).dream_steps
    assert (body["rounds"], body["aggregations"]) == (2, 1 + 2 * (steps + 1))
    assert body["secure_aggregation"] is True
    assert body["bytes_up_per_client"] > 100_000
    assert body["bytes_down_per_client"] > 100_000
    architectures = ["VGG-like", "ResNet-like", "WideResNet-like", "MobileNet-like"]
    assert [c["architecture"] for c in body["clients"]] == architectures
    assert [c["alive"] for c in body["clients"]] == [True, True, True, False]
    assert all(c["sums"] == body["aggregations"] for c in body["clients"][:3])
    assert body["clients"][3]["sums"] < body["aggregations"]


def test_moments_take_two_sums_on_the_same_devices_before_one_is_killed(dropped: Dropped) -> None:
    body = json.loads(dropped[1].stdout)
    moments = body["algorithms"]["moments"]
    assert (moments["rounds"], moments["aggregations"], moments["dropped"]) == (1, 2, 0)
    assert moments["secure_aggregation"] is True
    assert [c["algorithms"]["moments"]["sums"] for c in body["clients"]] == [2, 2, 2, 2]
    assert 0 < moments["bytes_up_per_client"] < body["algorithms"]["codream"]["bytes_up_per_client"]


def test_the_means_are_over_the_survivors_and_sharing_helps(dropped: Dropped) -> None:
    body = json.loads(dropped[1].stdout)
    for name in ("independent", "balanced", "codream", "moments"):
        mean = sum(c[name] for c in body["clients"][:3]) / 3
        assert body[f"mean_{name}"] == pytest.approx(mean, abs=0.02)
    # Two cycles of five; the whole run gains more than ten points on this seed.
    assert body["mean_codream"] - body["mean_independent"] >= 3
    assert body["mean_moments"] >= 90


def test_people_are_told_from_the_start_to_the_end(dropped: Dropped) -> None:
    err = dropped[1].stderr
    lines = err.splitlines()
    assert "making keys" in lines[0]
    for words in (
        "each training on its own digits", "dreaming together", "device-4 is killed now",
        "moments: learning from what was drawn", "3/4 devices", "cycle 2/2",
        "The aggregator could see", "The aggregator could not see",
        "confirmed by both sides",
    ):  # fmt: skip
        assert words in err


def test_the_folder_holds_report_pictures_and_capture(dropped: Dropped) -> None:
    folder, _ = dropped
    for name in ("accuracy.png", "moments.png", "dreams.png"):
        assert (folder / "out" / name).read_bytes().startswith(b"\x89PNG")
    assert "killed" in (folder / "out" / "report.html").read_text()
    peers = {captured.peer.hex() for captured in read_capture(folder / "received")}
    assert {c["id"] for c in json.loads(dropped[1].stdout)["clients"]} <= peers


def test_no_accuracy_is_in_what_the_aggregator_stored(dropped: Dropped) -> None:
    """Accuracies stay in the devices' files; the aggregator's database does not know the word."""
    folder, _ = dropped
    database = (folder / "out" / "federation" / "rounds.db").read_bytes()
    log = (folder / "out" / "logs" / "aggregator.log").read_text()
    report = folder / "out" / "federation" / "devices" / "device-1" / "report.jsonl"
    assert "accuracy" in report.read_text()
    assert b'"accuracy"' not in database
    assert "accuracy" not in log


def test_nothing_is_left_running(dropped: Dropped) -> None:
    assert processes_of(dropped[0]) == {}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_everything_and_tells_how_far_it_came(
    tmp_path: Path, number: signal.Signals
) -> None:
    out = tmp_path / "out"
    with started(out, "--devices", "3") as demo:
        read_until(demo, "waiting for the devices")
        assert len(processes_of(out)) == 1 + 1 + 3  # the demo, the aggregator, the agents
        demo.send_signal(number)
        demo.send_signal(number)  # an impatient person
        stdout, stderr = demo.communicate()
    assert demo.returncode == 130
    assert stdout == ""
    assert "stopped" in stderr
    assert str(out) in stderr
    assert "Traceback" not in stderr
    assert processes_of(out) == {}


def test_a_process_that_dies_is_told_with_its_log(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with started(out, "--devices", "3") as demo:
        read_until(demo, "waiting for the devices")
        (victim,) = [pid for pid, line in processes_of(out).items() if "device-2/" in line]
        os.kill(victim, signal.SIGKILL)
        stdout, stderr = demo.communicate()
    assert demo.returncode == 1
    assert stdout == ""
    assert "device-2 was ended by SIGKILL in mid-run" in stderr
    assert str(out / "logs" / "device-2.log") in stderr
    assert "Traceback" not in stderr
    assert processes_of(out) == {}
