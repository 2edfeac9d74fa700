"""What `deploy/` holds fits this repository: images, compose files, systemd units, settings.

No container engine is needed: files are parsed, and what they name has to exist. Their commands are
run by `tests/integration/test_deploy.py`.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

from dreamshare_aggregator.config import load_config
from tests.architecture.packages import ROOT
from tests.services import need

DEPLOY = ROOT / "deploy"
DOCKERFILE = DEPLOY / "docker" / "Dockerfile"
UNITS = sorted(
    path
    for path in (DEPLOY / "systemd").iterdir()
    if path.suffix in (".service", ".timer", ".path")
)
SERVICES = [path for path in UNITS if path.suffix == ".service"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]


def instructions() -> list[tuple[str, str, str]]:
    """Return stage, instruction and the rest of each line of the Dockerfile."""
    text = re.sub(r"(?m)^#.*\n", "", DOCKERFILE.read_text()).replace("\\\n", " ")
    found, stage = [], ""
    for line in filter(None, map(str.strip, text.splitlines())):
        word, _, rest = line.partition(" ")
        if word == "FROM":
            stage = rest.split(" AS ")[1]
        found.append((stage, word, rest))
    return found


def of_stage(stage: str, word: str) -> list[str]:
    return [rest for where, each, rest in instructions() if (where, each) == (stage, word)]


def setting(path: Path, key: str) -> list[str]:
    """Return every value that a unit gives to a key; keys may be repeated."""
    lines = (line.partition("=") for line in path.read_text().splitlines())
    return [value for name, _, value in lines if name == key]


def needs(extras: list[str]) -> set[str]:
    """Return the distributions that extras of this package bring, extras of extras included."""
    found: set[str] = set()
    for extra in extras:
        for line in EXTRAS[extra]:
            inner = re.match(r"dreamshare\[([\w,]+)\]", line)
            name = re.match(r"[\w.-]+", line)
            assert name
            found |= needs(inner[1].split(",")) if inner else {name[0]}
    return found


# ---- images --------------------------------------------------------------------------------------


def test_every_copied_path_exists_and_is_let_through() -> None:
    ignored = (DOCKERFILE.parent / "Dockerfile.dockerignore").read_text().splitlines()
    assert "**" in ignored, "what is not named stays out of the context"
    let_in = [line[1:] for line in ignored if line.startswith("!")]
    sources = [
        source
        for _, word, rest in instructions()
        if word == "COPY" and not rest.startswith("--from=")
        for source in rest.split()[:-1]
    ]
    assert len(sources) >= 10
    for source in sources:
        assert (ROOT / source).exists(), source
        assert any(fnmatch(source, pattern) for pattern in let_in), f"{source} is ignored"


def test_stages_that_are_named_exist() -> None:
    stages = [stage for stage, word, _ in instructions() if word == "FROM"]
    assert {"aggregator", "agent"} <= set(stages)
    for _, word, rest in instructions():
        origin = re.match(r"--from=(\S+)", rest)
        if word == "COPY" and origin:
            assert origin[1] in stages


@pytest.mark.parametrize("stage", ["aggregator-build", "agent-build"])
def test_extras_exist_and_the_aggregator_has_no_torch(stage: str) -> None:
    (line,) = of_stage(stage, "RUN")
    asked = re.search(r"\[([\w,]+)", line)
    assert asked
    extras = asked[1].split(",")
    assert set(extras) <= set(EXTRAS)
    heavy = {"torch", "matplotlib", "scikit-learn", "playwright"}
    assert not needs(extras) & heavy
    assert "-c constraints.txt" in line


@pytest.mark.parametrize("stage", ["aggregator", "agent"])
def test_images_run_the_command_as_nobody_special(stage: str) -> None:
    assert "FROM base AS " + stage in DOCKERFILE.read_text()
    assert of_stage("base", "USER") == ["10001:10001"]
    assert not of_stage(stage, "USER")
    assert of_stage("base", "ENTRYPOINT") == ['["dreamshare"]']
    assert "dreamshare" in PROJECT["scripts"]


def test_the_aggregator_has_a_health_check() -> None:
    (check,) = of_stage("aggregator", "HEALTHCHECK")
    assert "/healthz" in check


# ---- compose -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["compose.yaml", "agent.yaml"])
def test_compose_files_hold_together(name: str) -> None:
    whole = yaml.safe_load((DEPLOY / "compose" / name).read_text())
    for service in whole["services"].values():
        for mount in service.get("volumes", ()):
            source = mount.split(":")[0]
            assert source.startswith(("./", "/run/")) or source in whole["volumes"]
        assert set(service.get("secrets", ())) <= set(whole.get("secrets", {}))
        assert set(service.get("networks", ())) <= set(whole.get("networks", {}))
        for variable in service.get("environment", {}):
            secret = re.search("PASSWORD|TOKEN|KEY|SECRET", variable)
            assert not secret or variable.endswith("_FILE"), variable
        build = service.get("build")
        if build is not None:
            context = (DEPLOY / "compose" / build["context"]).resolve()
            assert context == ROOT
            assert (context / build["dockerfile"]) == DOCKERFILE
            assert build["target"] in {stage for stage, _, _ in instructions()}
            assert service["read_only"]
            assert service["cap_drop"] == ["ALL"]


def test_the_stack_is_watched_and_its_settings_are_real() -> None:
    whole = yaml.safe_load((DEPLOY / "compose" / "compose.yaml").read_text())
    services = whole["services"]
    assert all("healthcheck" in services[name] for name in ("postgres", "broker"))
    assert of_stage("aggregator", "HEALTHCHECK")
    config = load_config(DEPLOY / "compose" / "aggregator.toml")
    user, database = "dreamshare", services["postgres"]["environment"]["POSTGRES_DB"]
    assert config.store.startswith(f"postgresql://{user}@postgres:5432/{database}?passfile=")
    assert "password" not in config.store
    mounted = {mount.split(":")[1] for mount in services["aggregator"]["volumes"]}
    for path in (config.identity, config.enrolment, config.web.viewer_token):
        assert str(path.parent) in mounted | {"/var/lib/dreamshare"}
    published = {port.split(":")[-1] for port in services["aggregator"]["ports"]}
    assert {"7443", "7444", "7480"} == published


def test_prepared_secrets_are_private_kept_and_agree(tmp_path: Path) -> None:
    folder = tmp_path / "compose"
    shutil.copytree(DEPLOY / "compose", folder)
    for _ in range(2):
        subprocess.run([folder / "prepare.sh"], check=True, capture_output=True, timeout=30)
    whole = yaml.safe_load((folder / "compose.yaml").read_text())
    for secret in whole["secrets"].values():
        assert (folder / secret["file"]).stat().st_mode & 0o077 == 0
    password = (folder / "secrets" / "postgres-password").read_text()
    assert re.fullmatch(r"[0-9a-f]{48}", password)
    assert (folder / "secrets" / "pgpass").read_text() == (
        f"postgres:5432:rounds:dreamshare:{password}\n"
    )


# ---- systemd -------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_units_have_sections_and_no_unknown_line(path: Path) -> None:
    for line in path.read_text().splitlines():
        assert re.match(r"$|#|\[(Unit|Service|Install|Timer|Path)\]$|[A-Z]\w+=", line), line


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.name)
def test_services_are_hardened(path: Path) -> None:
    if setting(path, "ExecStart") == [
        "/usr/bin/systemctl try-restart dreamshare-aggregator.service"
    ]:
        return  # asks the service manager, which takes root
    for key, value in (
        ("NoNewPrivileges", "yes"),
        ("ProtectSystem", "strict"),
        ("ProtectHome", "yes"),
        ("CapabilityBoundingSet", ""),
        ("UMask", "0077"),
        ("LimitCORE", "0"),
    ):
        assert setting(path, key) == [value], key
    assert setting(path, "User")[0] in (DEPLOY / "systemd" / "sysusers.conf").read_text()
    assert setting(path, "StateDirectory")


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.name)
def test_commands_are_the_packages_or_the_systems(path: Path) -> None:
    for line in (*setting(path, "ExecStart"), *setting(path, "ExecStartPost")):
        program = shlex.split(line)[0]
        assert program == "/opt/dreamshare/bin/dreamshare" or program.startswith(
            ("/usr/bin/", "/bin/")
        )


def test_a_unit_restarts_what_a_restart_can_mend() -> None:
    for name in ("dreamshare-aggregator.service", "dreamshare-agent@.service"):
        path = DEPLOY / "systemd" / name
        assert setting(path, "Restart") == ["on-failure"]
        assert setting(path, "RestartPreventExitStatus") == ["2 4"]


def test_timers_and_paths_start_units_that_exist() -> None:
    for path in UNITS:
        if path.suffix in (".timer", ".path"):
            named = setting(path, "Unit") or [f"{path.stem}.service"]
            assert (path.parent / named[0]).exists()


def test_systemd_reads_the_units(tmp_path: Path) -> None:
    """The real parser, with programs that exist: unknown keys and bad values are its words."""
    (analyze,) = need("systemd's parser", "systemd-analyze")
    program = tmp_path / "bin" / "dreamshare"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    for path in UNITS:
        text = path.read_text().replace("/opt/dreamshare/bin/dreamshare", str(program))
        (tmp_path / path.name).write_text(text)
    said = subprocess.run(
        [analyze, "verify", "--man=no", *(str(tmp_path / path.name) for path in UNITS)],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | {"SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
    )
    told = said.stdout + said.stderr
    ours = [line for line in told.splitlines() if "dreamshare" in line or str(tmp_path) in line]
    assert (said.returncode, ours) == (0, [])


def test_settings_of_the_unit_are_real() -> None:
    config = load_config(DEPLOY / "systemd" / "aggregator.toml")
    state = setting(DEPLOY / "systemd" / "dreamshare-aggregator.service", "StateDirectory")
    for path in (config.identity, config.enrolment, config.web.viewer_token):
        assert path.parent == Path("/var/lib") / state[0]
    renew = setting(DEPLOY / "systemd" / "dreamshare-renew.service", "ExecStart")[0]
    assert str(config.identity) in renew
    assert config.enrol[0].rpartition(":")[2] == renew.rpartition(":")[2]
    watched = setting(DEPLOY / "systemd" / "dreamshare-renewed.path", "PathChanged")
    assert watched == [str(config.identity)]
