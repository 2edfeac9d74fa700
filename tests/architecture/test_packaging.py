"""What is built is what runs: wheel and sdist hold the six packages and nothing of this checkout.

The build backend runs in this environment, so nothing is downloaded; pip's own way through an
isolated environment ends in the same backend.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from dreamshare_cli.demo.setting import ARCHITECTURES
from tests.architecture.packages import ROOMS, ROOT, sources


def build(source: Path, kind: str, into: Path) -> Path:
    """Build one distribution of the tree at `source` and return its file."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", kind, "--directory", str(into)],
        cwd=source,
        check=True,
        capture_output=True,
        timeout=100,
    )
    return next(into.glob("*.whl" if kind == "wheel" else "*.tar.gz"))


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the unpacked source distribution."""
    folder = tmp_path_factory.mktemp("sdist")
    archive = build(ROOT, "sdist", folder)
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    return next(path for path in folder.iterdir() if path.is_dir())


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the wheel."""
    return build(ROOT, "wheel", tmp_path_factory.mktemp("wheel"))


def names(wheel: Path) -> set[str]:
    """Return the paths inside a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def tracked(path: Path) -> bool:
    """Say whether git would publish this file."""
    answer = subprocess.run(["git", "check-ignore", "-q", str(path)], cwd=ROOT, timeout=60)
    return answer.returncode == 1


def test_the_wheel_holds_every_module_and_nothing_else(wheel: Path) -> None:
    inside = {name for name in names(wheel) if name.endswith(".py")}
    expected = {
        str(path.relative_to(folder.parent))
        for package, folder in ROOMS.items()
        for path in sources(package)
        if tracked(path)
    }
    assert inside == expected


def test_the_wheel_is_typed_licensed_and_has_the_command(wheel: Path) -> None:
    inside = names(wheel)
    assert {f"{package}/py.typed" for package in ROOMS} <= inside
    assert "dreamshare_protos/v1/frame.proto" in inside
    page = {name for name in inside if name.startswith("dreamshare_aggregator/web/static/")}
    assert {name.rpartition(".")[2] for name in page} == {"html", "css", "js", "svg", "txt"}
    assert "dreamshare_aggregator/web/static/vendor/uPlot.LICENSE.txt" in page
    assert any(name.endswith("licenses/LICENSE") for name in inside)
    with zipfile.ZipFile(wheel) as archive:
        entry = next(name for name in inside if name.endswith("entry_points.txt"))
        assert "dreamshare = dreamshare_cli.__main__:main" in archive.read(entry).decode()


def test_the_wheel_carries_the_demo_s_nets_as_bundles(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        bundles = [each for each in archive.infolist() if each.filename.endswith(".dream")]
    folder = "dreamshare_cli/demo/bundles"
    assert {b.filename for b in bundles} == {f"{folder}/{name}.dream" for name in ARCHITECTURES}
    assert sum(b.file_size for b in bundles) < 3_000_000


def test_the_sdist_carries_no_environment_and_no_tests(sdist: Path) -> None:
    assert {path.name for path in sdist.iterdir()} == {
        ".gitignore",
        "CHANGELOG.md",
        "LICENSE",
        "PKG-INFO",
        "README.md",
        "aggregator",
        "crypto",
        "edge_agent",
        "protos",
        "pyproject.toml",
        "sdk",
    }


def test_the_sdist_builds_the_same_wheel(sdist: Path, wheel: Path, tmp_path: Path) -> None:
    assert names(build(sdist, "wheel", tmp_path)) == names(wheel)


def test_the_wheel_runs_away_from_the_checkout(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    script = (
        "import dreamshare, dreamshare_crypto, dreamshare_edge, dreamshare_aggregator\n"
        "from dreamshare import Field\n"
        "print(dreamshare.__file__)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path / "site")},
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert Path(answer.stdout.strip()) == tmp_path / "site" / "dreamshare" / "__init__.py"
