"""The documentation does not point into the void, and the code cites paragraphs that exist."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.packages import ROOMS, ROOT, sources

PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "deploy/**/*.md", "newsfragments/README.md")
    for path in ROOT.glob(pattern)
)
PROTOCOL = (ROOT / "docs" / "protocol.md").read_text()
PARAGRAPHS = set(re.findall(r"(?m)^(?:## |\*\*)?(\d+(?:\.\d+)?)\.? ", PROTOCOL)) | set(
    re.findall(r"(?:\. |: )(1[0-9]\.\d+) ", PROTOCOL)
)
CODE = [path for package in ROOMS for path in sources(package)] + sorted(
    (ROOT / "tests").rglob("*.py")
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)", page.read_text())
    missing = [
        target
        for target in targets
        if "://" not in target and not (page.parent / target).resolve().exists()
    ]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_paths_in_backticks_exist(page: Path) -> None:
    paths = re.findall(r"`((?:docs|tests|scripts|examples|benchmarks)/[\w./-]+)`", page.read_text())
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_cited_paragraphs_exist() -> None:
    citation = r"docs/protocol\.md[,:]?\s+(?:sections?\s+)?(\d+(?:\.\d+)?)"
    missing = {
        f"{path.relative_to(ROOT)}: {cited}"
        for path in CODE
        for cited in re.findall(citation, path.read_text())
        if cited not in PARAGRAPHS
    }
    assert missing == set()


def test_every_label_of_the_key_schedule_is_documented() -> None:
    label = r"\"(sa2/v1/[\w-]+)\""
    used = {
        found
        for path in sources("dreamshare_crypto") + sources("dreamshare")
        for found in re.findall(label, path.read_text())
    }
    assert len(used) >= 20, "the pattern no longer finds the labels"
    assert used - set(re.findall(r"sa2/v1/[\w-]+", PROTOCOL)) == set()


def test_every_page_of_the_guide_is_in_its_index() -> None:
    guide = ROOT / "docs" / "operations"
    named = set(re.findall(r"\]\((\w+\.md)\)", (guide / "index.md").read_text()))
    assert {path.name for path in guide.glob("*.md")} - {"index.md"} == named


def test_the_settings_page_has_every_key() -> None:
    written = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "settings"), "--check"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert written.returncode == 0, written.stdout + written.stderr


def test_diagrams_are_what_the_tables_give() -> None:
    drawn = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "diagrams"), "--check"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert drawn.returncode == 0, drawn.stdout + drawn.stderr
