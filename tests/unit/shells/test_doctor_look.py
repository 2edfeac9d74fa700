"""What the doctor says of the device itself: each finding, how grave it is, and its advice."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from dreamshare_crypto.authority import Authority
from dreamshare_crypto.certificates import Role
from dreamshare_crypto.entropy import SystemEntropy
from dreamshare_edge.conditions import Conditions
from dreamshare_edge.config import AgentConfig
from dreamshare_edge.doctor import look
from dreamshare_edge.doctor.findings import Finding, Severity
from dreamshare_edge.doctor.memory import free_memory
from dreamshare_edge.policy import Policy

NOW = 1_800_000_000.0
DAY_S = 86_400.0


class Usage(NamedTuple):
    """What `shutil.disk_usage` returns."""

    total: int
    used: int
    free: int


def only(found: list[Finding], subject: str) -> Finding:
    (one,) = (each for each in found if each.subject == subject)
    assert bool(one.advice) == (one.severity is not Severity.OK)
    return one


def test_a_revocation_list_that_is_overdue() -> None:
    entropy = SystemEntropy()
    device = Authority.create(bytes(16), entropy, NOW).issue(Role.DEVICE, "a", entropy, NOW)
    late = device.revocations.next_update + DAY_S
    overdue = only(look.look_at_certificate(device, (), late), "revocations")
    assert overdue.severity is Severity.WARNING
    assert "was due for a newer one" in overdue.seen


def test_who_renews_a_certificate_is_said() -> None:
    entropy = SystemEntropy()
    device = Authority.create(bytes(16), entropy, NOW).issue(Role.DEVICE, "a", entropy, NOW)
    soon = device.certificate.not_after - 60.0
    by_hand = only(look.look_at_certificate(device, (), soon), "certificate")
    by_itself = only(look.look_at_certificate(device, ("grpcs://a:1",), soon), "certificate")
    assert "`dreamshare enrol renew`" in by_hand.advice
    assert "the agent renews it" in by_itself.advice


@pytest.mark.parametrize(
    ("free_mb", "severity"),
    [(4096, Severity.OK), (100, Severity.WARNING), (10, Severity.ERROR)],
)
def test_room_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_mb: int, severity: Severity
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(1 << 40, 0, free_mb << 20))
    assert only(look.look_at_room(tmp_path / "not" / "yet"), "disk").severity is severity


def test_little_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(look, "free_memory", lambda: 64 << 20)
    little = only(look.look_at_room(tmp_path), "memory")
    assert (little.severity, little.seen) == (Severity.WARNING, "64 MB are available")
    monkeypatch.setattr(look, "free_memory", lambda: None)
    assert all(each.subject != "memory" for each in look.look_at_room(tmp_path))


def test_the_tightest_of_machine_and_groups_counts(tmp_path: Path) -> None:
    proc, groups = tmp_path / "proc", tmp_path / "cgroup"
    service = groups / "system.slice" / "agent.service"
    (proc / "self").mkdir(parents=True)
    service.mkdir(parents=True)
    assert free_memory(proc, groups) is None
    (proc / "meminfo").write_text("MemTotal: 4096 kB\nMemAvailable: 2048 kB\n")
    assert free_memory(proc, groups) == 2 << 20
    (proc / "self" / "cgroup").write_text("0::/system.slice/agent.service\n")
    (service / "memory.max").write_text("max\n")
    (service / "memory.current").write_text("1000\n")
    assert free_memory(proc, groups) == 2 << 20
    (service.parent / "memory.max").write_text("1000000\n")
    (service.parent / "memory.current").write_text("400000\n")
    assert free_memory(proc, groups) == 600_000
    (service / "memory.max").write_text("900\n")
    assert free_memory(proc, groups) == 0


def test_where_the_anchor_goes(tmp_path: Path) -> None:
    assert look.look_at_anchor(tmp_path).severity is Severity.OK
    assert "the first start makes it" in look.look_at_anchor(tmp_path / "run").seen
    lost = look.look_at_anchor(tmp_path / "not" / "there")
    assert (lost.severity, bool(lost.advice)) == (Severity.ERROR, True)


def test_a_store_that_is_not_there_yet(tmp_path: Path) -> None:
    config = AgentConfig(identity=tmp_path / "none", store=tmp_path / "state")
    found = look.look_at_permissions(config)
    assert "does not exist yet" in only(found, "store").seen


def test_conditions_that_hold_say_what_is_known() -> None:
    found = look.look_at_conditions(Policy(), Conditions(charging=True, battery=80))
    assert found.severity is Severity.OK
    assert found.seen == ("charging True, unmetered cannot tell, idle cannot tell, battery 80")


@pytest.mark.parametrize(
    ("policy", "severity", "words"),
    [
        (Policy(), Severity.OK, "sums of 3 devices or more"),
        (Policy(algorithms=("codream/1",)), Severity.ERROR, "allows none of fedavg/1"),
        (Policy(unknown_allows=True, idle=True), Severity.WARNING, "cannot tell whether it may"),
        (Policy(resume_without_anchor=True), Severity.WARNING, "answer a round twice"),
        (Policy(gamma=0.0), Severity.WARNING, "hardly anybody colludes"),
        (Policy(version_resets=("ab" * 16,)), Severity.WARNING, "an older protocol"),
    ],
)
def test_clauses_that_can_hardly_be_meant(policy: Policy, severity: Severity, words: str) -> None:
    found = only(look.look_at_policy(policy, ("fedavg/1",)), "policy")
    assert (found.severity, words in found.seen) == (severity, True)


@pytest.mark.parametrize("made", [look.ok, look.warning, look.error])
def test_a_finding_as_people_and_programs_read_it(made: Callable[..., Finding]) -> None:
    found = made("disk", "seen") if made is look.ok else made("disk", "seen", "do this")
    assert found.fields()["severity"] == found.severity.name.lower()
    assert ("-> do this" in found.sentence) == (made is not look.ok)
