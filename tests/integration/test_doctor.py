"""`dreamshare agent doctor`: what it says of a device that is well, and of many that are not."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dreamshare.clock import ManualClock, SystemClock
from dreamshare.settings import settings_text
from dreamshare.transport.grpc import GrpcListener
from dreamshare.transport.mqtt.limits import BrokerLimits
from dreamshare.transport.tls import TlsFiles
from dreamshare_cli.command import execute
from dreamshare_crypto.certificates import Role
from dreamshare_edge.conditions import Conditions
from dreamshare_edge.config import AgentConfig, LearnerConfig
from dreamshare_edge.doctor import Examination, Severity, examine, look, reach
from dreamshare_edge.doctor.clock import look_at_clock
from dreamshare_edge.doctor.reach import broker_finding, look_at_link
from dreamshare_edge.policy import Policy
from tests.integration.toy import Loopback

pytestmark = pytest.mark.integration


class Patient:
    """A device's folder, and the aggregator's port."""

    def __init__(self, path: Path) -> None:
        self.federation = Loopback.create(path)
        self.home = path / "device"
        self.home.mkdir(mode=0o700)
        self.device = self.federation.folder.issue(Role.DEVICE, "device", self.home / "device.key")
        self.listener: GrpcListener = self.federation.listener()

    def settings(self, **changes: object) -> Path:
        config = AgentConfig(
            link=f"grpcs://127.0.0.1:{self.listener.port}",
            algorithms=("fedavg/1",),
            learner=LearnerConfig("tests.integration.toy:make_equipment", {"device": 1}),
        )
        path = self.home / "agent.toml"
        path.write_text(settings_text(dataclasses.replace(config, **changes)))  # type: ignore[arg-type]
        return path

    async def examined(self, **changes: object) -> Examination:
        return await asyncio.to_thread(examine, self.settings(**changes))


@pytest.fixture
async def patient(tmp_path: Path) -> AsyncIterator[Patient]:
    patient = Patient(tmp_path)
    await patient.listener.start()
    yield patient
    await patient.listener.close()


def graver(found: Examination) -> list[tuple[str, str]]:
    return [(f.subject, f.seen) for f in found.findings if f.severity is Severity.ERROR]


def state_of(folder: Path) -> dict[str, str]:
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


async def test_a_device_that_is_well(patient: Patient) -> None:
    patient.settings()
    before = state_of(patient.home)
    found = await patient.examined()
    assert graver(found) == []
    subjects = [each.subject for each in found.findings]
    for subject in (
        *("settings", "identity", "store", "certificate", "link", "clock", "learner", "disk"),
        *("memory", "anchor", "conditions", "policy"),
    ):
        assert subject in subjects
    assert state_of(patient.home) == before, "looking changed something"


async def test_the_command_and_its_exit_codes(
    patient: Patient, capsys: pytest.CaptureFixture[str]
) -> None:
    path = patient.settings(policy=Policy(resume_without_anchor=True))
    command = ["agent", "doctor", "--config", str(path)]
    assert await asyncio.to_thread(execute, [*command, "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert said["severity"] == "warning"
    assert {"subject", "severity", "seen", "advice"} == said["findings"][0].keys()
    path = patient.settings(link="grpcs://127.0.0.1:9")
    assert await asyncio.to_thread(execute, command) == 2
    text = capsys.readouterr().out
    assert "FAIL   link: grpcs://127.0.0.1:9 cannot be reached" in text
    assert "-> is the network up" in text


async def test_what_is_broken_is_said_and_the_rest_is_looked_at(patient: Patient) -> None:
    (patient.home / "state").mkdir(mode=0o755)
    found = await patient.examined(
        learner=LearnerConfig("no.such:factory"),
        policy=Policy(algorithms=("codream/1",)),
        anchor_folder=Path("/nowhere/at/all"),
        fleet_policy=Path("agent.toml"),
    )
    assert {subject for subject, _ in graver(found)} == {
        *("learner", "store", "policy", "anchor", "fleet policy"),
    }
    (patient.home / "device.key").chmod(0o644)
    assert {"identity"} <= {subject for subject, _ in graver(await patient.examined())}
    (patient.home / "device.key").unlink()
    seen = dict(graver(await patient.examined()))
    assert "there is no file" in seen["identity"]
    (patient.home / "agent.toml").write_text("lnk = 3")
    (only,) = (await asyncio.to_thread(examine, patient.home / "agent.toml")).findings
    assert "did you mean 'link'" in only.seen


async def test_a_stranger_is_told_that_it_is_refused(patient: Patient, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    stranger = Patient(tmp_path / "other")
    url = f"grpcs://127.0.0.1:{patient.listener.port}"
    mixed = dataclasses.replace(
        TlsFiles.of(stranger.device), roots_pem=patient.device.tls.roots_pem
    )
    (refused,) = (await asyncio.to_thread(look_at_link, url, mixed)).findings
    assert "refuses this device's certificate" in refused.seen
    (between,) = (await asyncio.to_thread(look_at_link, url, TlsFiles.of(stranger.device))).findings
    assert "not the federation's" in between.seen
    (nonsense,) = (await asyncio.to_thread(look_at_link, "tcp://x", mixed)).findings
    assert nonsense.severity is Severity.ERROR


async def test_certificate_and_clock(patient: Patient) -> None:
    path = patient.settings()
    held = patient.device.certificate
    for now, subject, words in (
        (held.not_before - 5.0, "clock", "before this device's certificate begins"),
        (held.not_after + 5.0, "certificate", "the certificate ended"),
        (held.not_after - 5.0, "certificate", "due for renewal"),
    ):
        found = await asyncio.to_thread(examine, path, ManualClock(now))
        (one,) = (f for f in found.findings if f.subject == subject and words in f.seen)
        assert one.advice
    revoked = look.look_at_certificate(
        dataclasses.replace(
            patient.device,
            revocations=_revoked(patient),
        ),
        (),
        SystemClock().now(),
    )
    assert revoked[0].seen == "the certificate is revoked"


def _revoked(patient: Patient) -> object:
    from dreamshare_crypto.authority import Authority

    authority = Authority.load(patient.federation.folder.authority)
    return authority.revoke(patient.device.certificate.serial, SystemClock().now())


async def test_the_clock_is_bounded_by_the_aggregators_certificate_and_the_store(
    patient: Patient,
) -> None:
    url = f"grpcs://127.0.0.1:{patient.listener.port}"
    reached = await asyncio.to_thread(look_at_link, url, TlsFiles.of(patient.device))
    shown = reached.shown
    assert shown is not None
    issued = patient.federation.aggregator.certificate
    assert (shown.begin, shown.end) == (issued.not_before, issued.not_after)
    spans = [*look.spans_of(patient.device), shown]
    behind = look_at_clock(shown.begin - 1.0, [shown], None)
    assert behind.severity is Severity.ERROR
    assert url in behind.seen
    now = SystemClock().now()
    assert look_at_clock(now, spans, now - 60.0).severity is Severity.OK
    back = look_at_clock(now, spans, now + 86_400.0)
    assert back.severity is Severity.WARNING
    assert "the store was written on" in back.seen
    listed = patient.device.revocations.this_update
    early = look_at_clock(listed - 3600.0, look.spans_of(patient.device)[1:], None)
    assert "before the revocation list" in early.seen


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("certificate is not yet valid", "its certificate is not valid yet"),
        ("certificate has expired", "its certificate has expired"),
    ],
)
def test_the_aggregators_certificate_bounds_the_clock(text: str, words: str) -> None:
    wrong = ssl.SSLCertVerificationError()
    wrong.verify_message = text
    found = reach._unverified("grpcs://a:1", wrong)
    assert (found.subject, found.severity) == ("clock", Severity.ERROR)
    assert words in found.seen


def test_limits_of_a_broker() -> None:
    assert broker_finding("b", BrokerLimits(None, 20, 2)).severity is Severity.OK
    small = broker_finding("b", BrokerLimits(10_000, 20, 2))
    assert (small.severity, small.subject) == (Severity.WARNING, "broker")
    assert "`dreamshare broker config`" in small.advice
    assert broker_finding("b", BrokerLimits(None, 20, 0)).severity is Severity.ERROR


def test_conditions_that_do_not_hold() -> None:
    found = look.look_at_conditions(Policy(on_charger=True), Conditions(charging=False))
    assert found.severity is Severity.WARNING
    assert "sets on_charger" in found.seen
    assert "unmetered cannot tell" in found.seen
