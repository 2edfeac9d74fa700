"""A fleet's policy tightens its devices' own, and nothing else: signed, versioned, never looser."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from dreamshare.errors import ConfigError
from dreamshare_cli.command import execute
from dreamshare_crypto.authority import Authority
from dreamshare_crypto.entropy import SystemEntropy
from dreamshare_crypto.keys import IdentityKey
from dreamshare_edge.fleet_policy import FleetPolicy, PolicyRefused, Signers, in_force, signer
from dreamshare_edge.policy import Policy
from dreamshare_edge.store import FileStore
from dreamshare_edge.tightening import TIGHTER, looser, tightened

FEDERATION = bytes(range(16))
KEY = IdentityKey.generate(SystemEntropy())
SIGNERS = Signers(FEDERATION, (bytes(32), KEY.public))

PAIRS: dict[str, tuple[object, object, object]] = {
    "least_cohort": (8, 5, 8),
    "gamma": (0.1, 0.3, 0.3),
    "profiles": (("complete", "regular"), ("regular",), ("regular",)),
    "sigma": (80, 64, 80),
    "suites": (("aes", "chacha"), ("chacha",), ("chacha",)),
    "modes": (("agreed", "bounded"), ("agreed",), ("agreed",)),
    "algorithms": (("codream/1", "fedavg/1"), ("fedavg/1", "evaluate/1"), ("fedavg/1",)),
    "programs": (("a/1:vjp", "a/1:value"), ("a/1:value",), ("a/1:value",)),
    "refused_steps": (("a/1:b",), ("c/1:d",), ("a/1:b", "c/1:d")),
    "captions": (8, 2, 2),
    "captions_least": (1, 5, 5),
    "rounds_per_day": (None, 400, 400),
    "bytes_per_day": (100, 200, 100),
    "epsilon_per_month": (8.0, None, 8.0),
    "delta": (1e-6, 1e-7, 1e-7),
    "min_noise": (0.0, 0.5, 0.5),
    "tasks_at_once": (2, 1, 1),
    "wait_for_turn_s": (60.0, 90.0, 60.0),
    "on_charger": (False, True, True),
    "unmetered": (True, False, True),
    "idle": (False, True, True),
    "battery_floor": (30, 50, 50),
    "quiet_hours": (("22:00-06:00",), ("12:00-13:00",), ("22:00-06:00", "12:00-13:00")),
    "unknown_allows": (True, False, False),
    "draws": (3, 1, 1),
    "monotone_active": (False, True, True),
    "least_change": (0, 2, 2),
    "least_class_count": (5, 20, 20),
    "version_resets": (("0f" * 16, "1f" * 16), ("1f" * 16,), ("1f" * 16,)),
    "resume_without_anchor": (True, False, False),
    "min_bits": (8, 12, 12),
    "max_clip": (4.0, 9.0, 4.0),
    "max_vector_words": (100, 50, 50),
}
"""Per clause: one value, another, and the tighter of both."""


def with_clause(name: str, value: object) -> Policy:
    return dataclasses.replace(Policy(), **{name: value})  # type: ignore[arg-type]


def test_every_clause_has_its_way_of_being_tighter() -> None:
    clauses = {field.name for field in dataclasses.fields(Policy)}
    assert clauses == TIGHTER.keys() == PAIRS.keys()


@pytest.mark.parametrize("name", PAIRS)
def test_the_tighter_of_two(name: str) -> None:
    one, other, both = PAIRS[name]
    for floor, fleet in ((one, other), (other, one)):
        found = tightened(with_clause(name, floor), with_clause(name, fleet), {name})
        value = getattr(found, name)
        same = set(value) == set(both) if isinstance(both, tuple) else value == both  # type: ignore[call-overload]
        assert same, value
        assert dataclasses.replace(found, **{name: getattr(Policy(), name)}) == Policy()


def test_what_the_fleet_does_not_name_is_the_owners() -> None:
    owner = Policy(gamma=0.2, least_cohort=5, resume_without_anchor=True)
    assert tightened(owner, Policy(least_cohort=7), {"least_cohort"}) == dataclasses.replace(
        owner, least_cohort=7
    )
    assert looser(owner, Policy(gamma=0.1, least_cohort=7), {"gamma", "least_cohort"}) == ("gamma",)


def test_an_empty_list_of_algorithms_is_all_and_never_what_is_left() -> None:
    named = {"algorithms"}
    some = Policy(algorithms=("fedavg/1",))
    assert tightened(Policy(), some, named) == tightened(some, Policy(), named) == some
    with pytest.raises(ConfigError, match="together they allow none"):
        tightened(some, Policy(algorithms=("codream/1",)), named)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FileStore]:
    with FileStore(tmp_path / "store") as store:
        yield store


def put(folder: Path, version: int, text: str, key: IdentityKey = KEY) -> Path:
    path = folder / "fleet.policy"
    path.write_bytes(FleetPolicy(FEDERATION, version, text).signed(signer(key)).encode())
    return path


def test_the_newest_stays_in_force(tmp_path: Path, store: FileStore) -> None:
    owner = Policy(least_cohort=5)
    nowhere = tmp_path / "nothing-yet"
    assert in_force(owner, SIGNERS, store, nowhere) == owner
    file = put(tmp_path, 2, "least_cohort = 8\ngamma = 0.01\n")
    found = in_force(owner, SIGNERS, store, file)
    assert (found.least_cohort, found.gamma) == (8, 0.05), "the owner's gamma is tighter"
    file.unlink()
    assert in_force(owner, SIGNERS, store, file).least_cohort == 8, "the file is gone"
    assert in_force(owner, SIGNERS, store, None).least_cohort == 8
    file = put(tmp_path, 3, "least_cohort = 6\n")
    assert in_force(owner, SIGNERS, store, file).least_cohort == 6, "its own owner may relent"
    assert in_force(Policy(least_cohort=9), SIGNERS, store, file).least_cohort == 9


def test_an_older_version_is_refused(tmp_path: Path, store: FileStore) -> None:
    in_force(Policy(), SIGNERS, store, put(tmp_path, 5, "idle = true\n"))
    with pytest.raises(PolicyRefused, match="is version 4, and version 5 was accepted"):
        in_force(Policy(), SIGNERS, store, put(tmp_path, 4, "idle = true\n"))
    with pytest.raises(PolicyRefused, match="another version 5"):
        in_force(Policy(), SIGNERS, store, put(tmp_path, 5, "idle = false\n"))
    assert in_force(Policy(), SIGNERS, store, None).idle


def test_what_makes_no_sense_together_is_not_accepted(tmp_path: Path, store: FileStore) -> None:
    owner = Policy(algorithms=("fedavg/1",))
    with pytest.raises(ConfigError, match="allow none"):
        in_force(owner, SIGNERS, store, put(tmp_path, 1, 'algorithms = ["codream/1"]\n'))
    assert in_force(owner, SIGNERS, store, None) == owner


def test_a_stranger_signs_nothing(tmp_path: Path, store: FileStore) -> None:
    stranger = IdentityKey.generate(SystemEntropy())
    file = put(tmp_path, 1, "idle = true\n", stranger)
    with pytest.raises(PolicyRefused, match="signed by neither"):
        in_force(Policy(), SIGNERS, store, file)
    other = Signers(bytes(16), SIGNERS.keys)
    with pytest.raises(PolicyRefused, match="another federation's"):
        in_force(Policy(), other, store, put(tmp_path, 1, "idle = true\n"))
    raw = json.loads(put(tmp_path, 1, "idle = true\n").read_text())
    for change in ({"version": 2}, {"policy": "idle = false\n"}):
        file.write_text(json.dumps({**raw, **change}))
        with pytest.raises(PolicyRefused, match="signed by neither"):
            in_force(Policy(), SIGNERS, store, file)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        b"[" * 100_000,
        json.dumps({"format": "dreamshare-policy/2"}).encode(),
        FleetPolicy(FEDERATION, 1, "", bytes(64))
        .encode()
        .replace(b'"version": 1', b'"version": 1.0'),
        FleetPolicy(FEDERATION, 1, "", bytes(63)).encode(),
        FleetPolicy(FEDERATION, 1, "", bytes(64)).encode() + b" " * 70_000,
    ],
)
def test_other_files_are_refused(tmp_path: Path, store: FileStore, raw: bytes) -> None:
    file = tmp_path / "file"
    file.write_bytes(raw)
    with pytest.raises(PolicyRefused, match="fleet policy"):
        in_force(Policy(), SIGNERS, store, file)


@pytest.mark.parametrize("text", ["nothing = 3", "least_cohort = 2", "= ="])
def test_clauses_are_those_of_a_policy(text: str) -> None:
    with pytest.raises(PolicyRefused, match="the fleet policy"):
        FleetPolicy(FEDERATION, 1, text)
    with pytest.raises(PolicyRefused, match="version is 0"):
        FleetPolicy(FEDERATION, 0, "")


def test_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str], store: FileStore) -> None:
    folder = tmp_path / "federation"
    assert execute(["enrol", "authority", "--federation", str(folder)]) == 0
    authority = Authority.load(folder / "authority.key")
    text, out = tmp_path / "policy.toml", tmp_path / "fleet.policy"
    text.write_text("least_cohort = 8\n")
    sign = ["policy", "sign", str(text), "--out", str(out), "--version"]
    assert execute([*sign, "1", "--federation", str(folder)]) == 0
    signers = Signers(authority.federation, (authority.public_key,))
    assert in_force(Policy(), signers, store, out).least_cohort == 8
    capsys.readouterr()
    assert execute(["policy", "key", str(tmp_path / "policy.key"), "--json"]) == 0
    public = bytes.fromhex(json.loads(capsys.readouterr().out)["policy_key"])
    named = ["--key", str(tmp_path / "policy.key"), "--federation-id", authority.federation.hex()]
    text.write_text("least_cohort = 9\n")
    assert execute([*sign, "2", *named]) == 0
    both = Signers(authority.federation, (authority.public_key, public))
    assert in_force(Policy(), both, store, out).least_cohort == 9
    capsys.readouterr()
    assert execute(["policy", "show", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["version"] == 2
    assert execute(["policy", "key", str(tmp_path / "policy.key")]) == 2
    assert execute([*sign, "2", "--key", str(tmp_path / "policy.key")]) == 2
    text.write_text("least_cohort = 1\n")
    assert execute([*sign, "3", *named]) == 2
