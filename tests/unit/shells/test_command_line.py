"""The command's verbs, in process: what they print, what they refuse, with which exit code."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from dreamshare.transport.address import host_and_port
from dreamshare_cli.command import execute
from dreamshare_cli.exits import Exit
from dreamshare_cli.federation import FederationFolder
from dreamshare_crypto.certificates import Role
from dreamshare_crypto.identity import Identity


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    federation = tmp_path / "federation"
    assert execute(["enrol", "authority", "--federation", str(federation), "--json"]) == Exit.OK
    return federation


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_federation_is_made_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "federation"
    assert execute(["enrol", "authority", "--federation", str(folder), "--json"]) == Exit.OK
    (made,) = lines(capsys)
    assert made["link"] == "grpcs://127.0.0.1:7443"
    assert len(str(made["federation"])) == 32
    for name in ("authority", "aggregator", "operator"):
        assert (folder / f"{name}.key").stat().st_mode & 0o777 == 0o600
    assert execute(["enrol", "authority", "--federation", str(folder)]) == Exit.USAGE
    assert "holds a federation already" in capsys.readouterr().err


def test_a_device_gets_an_identity_and_commented_settings(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute(["enrol", "device", "phone", "-f", str(folder), "--json"]) == Exit.OK
    device = lines(capsys)[-1]
    home = folder / "devices" / "phone"
    identity = Identity.load(home / "device.key")
    assert identity.id.hex() == device["device"]
    assert identity.certificate.role is Role.DEVICE
    settings = tomllib.loads((home / "agent.toml").read_text())
    assert settings["link"] == "grpcs://127.0.0.1:7443"
    assert settings["label"] == "phone"
    assert settings["policy"]["least_cohort"] == 3
    assert execute(["enrol", "device", "phone", "-f", str(folder)]) == Exit.USAGE
    assert "is never overwritten" in capsys.readouterr().err


def test_who_was_enrolled_is_listed_and_can_be_revoked(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    execute(["enrol", "device", "lost", "-f", str(folder)])
    execute(["enrol", "operator", "eve", "--viewer", "-f", str(folder), "--out", str(folder / "e")])
    capsys.readouterr()
    assert execute(["enrol", "list", "-f", str(folder), "--json"]) == Exit.OK
    listed = {str(one["name"]): one for one in lines(capsys)}
    assert [one["role"] for one in listed.values()] == [
        "aggregator",
        "operator",
        "device",
        "viewer",
    ]
    serial = listed["lost"]["serial"]
    assert execute(["enrol", "revoke", str(serial), "-f", str(folder), "--json"]) == Exit.OK
    assert lines(capsys)[0]["revoked"] == [serial]
    assert serial in Identity.load(folder / "aggregator.key").revocations.serials
    assert execute(["enrol", "revoke", "999", "-f", str(folder)]) == Exit.USAGE
    assert "no certificate has the serial or name '999'" in capsys.readouterr().err


@pytest.mark.parametrize("verb", [["agent", "config"], ["up", "--print-config"]])
def test_default_settings_are_printed_as_toml(
    verb: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute(verb) == Exit.OK
    text = capsys.readouterr().out
    assert tomllib.loads(text)
    assert text.count("# ") > 3


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["run", "list"], Exit.USAGE, "there is no federation in federation"),
        (["run", "list", "--nonsense"], Exit.USAGE, "No such option"),
        (["run", "submit", "codream/9", "-f", "{f}"], Exit.USAGE, "'codream/9' is not registered"),
        (
            ["run", "submit", "evaluate/1", "--suite", "des", "-f", "{f}"],
            Exit.USAGE,
            "there is no suite 'des'; choose one of aes, chacha",
        ),
        (
            ["run", "submit", "evaluate/1", "--bounded", "0.1", "--least", "8", "-f", "{f}"],
            Exit.USAGE,
            "a roster of 8: O1: bounded mode: 100000 ppm of 8 devices let 0 drop out; 1 to 3 can",
        ),
        (
            ["run", "submit", "evaluate/1", "-c", "none.toml", "-f", "{f}"],
            Exit.USAGE,
            "cannot read none.toml",
        ),
        (["run", "list", "--identity", "none.key", "-f", "{f}"], Exit.USAGE, "none.key"),
        (
            ["run", "list", "-f", "{f}", "--link", "grpcs://127.0.0.1:9", "--patience", "1"],
            Exit.UNREACHABLE,
            "cannot be reached",
        ),
        (["run", "list", "-f", "{f}", "--link", "http://x"], Exit.USAGE, "is not a link's address"),
        (["agent", "run", "-c", "none.toml"], Exit.USAGE, "cannot read the settings file"),
        (["up", "-c", "none.toml"], Exit.USAGE, "cannot read the settings file"),
        (["up", "-f", "{f}", "--listen", "tcp://x"], Exit.USAGE, "is not a link's address"),
        (
            ["up", "-f", "{f}", "--store", "mysql://x"],
            Exit.USAGE,
            "is no database that is known here",
        ),
        (["enrol", "device", "x", "-f", "nowhere"], Exit.USAGE, "there is no federation"),
        (["enrol", "device", "", "-f", "{f}"], Exit.USAGE, "is not a name"),
    ],
)
def test_a_mistake_is_one_line_and_an_exit_code(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: Exit,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    if "{f}" not in arguments:
        folder.rename(tmp_path / "elsewhere")
    capsys.readouterr()
    assert execute([a.replace("{f}", str(folder)) for a in arguments]) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("dreamshare: ")
    assert message in printed.err
    assert printed.err.count("\n") == 1


def test_a_config_file_with_an_unknown_field_is_named(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "e.toml"
    path.write_text("max_example = 5\n")
    arguments = ["run", "submit", "evaluate/1", "-c", str(path), "-f", str(folder)]
    assert execute(arguments) == Exit.USAGE
    assert f"{path}: EvaluateConfig: unknown field 'max_example'" in capsys.readouterr().err


def test_links_are_parsed_strictly(tmp_path: Path) -> None:
    assert host_and_port("grpcs://[::1]:7443") == ("::1", 7443)
    federation = FederationFolder(tmp_path)
    federation.create()
    assert federation.link() == "grpcs://127.0.0.1:7443"
    federation.set_links("grpcs://127.0.0.1:1234", "grpcs://127.0.0.1:1235")
    assert federation.link() == "grpcs://127.0.0.1:1234"
