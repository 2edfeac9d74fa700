"""Section 16 of docs/protocol.md, its catalogue, the threat model and the suite say the same."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterable

import pytest

from tests.architecture.packages import ROOT
from tests.sim.secagg.catalogue import CATALOGUE

NAME = re.compile(r"`([A-Za-z_]+\w*)`")
NO_CASES = frozenset({"range"})
"""Words in backticks that are values."""


def section_16() -> str:
    text = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
    return text[text.index("\n## 16. ") : text.index("\n## 17. ")]


def cases_of_the_text() -> dict[int, set[str]]:
    """Return the names that each numbered item of section 16 gives, whole or abbreviated."""
    text = section_16()
    found: dict[int, set[str]] = {}
    marks = []
    for number in range(1, 76):  # in order, each after the one before
        start = marks[-1].end() if marks else 0
        mark = re.compile(rf"(?<![\w.]){number}\. ").search(text, start)
        assert mark is not None, number
        marks.append(mark)
    for number, mark in enumerate(marks, start=1):
        end = marks[number].start() if number < len(marks) else len(text)
        names = set(NAME.findall(text[mark.end() : end].replace("`..._", "`start_same_payload_")))
        found[number] = names - NO_CASES
    return found


def collect(paths: Iterable[str]) -> set[str]:
    """Return the ids that pytest collects in these files."""
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *paths],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return {line for line in run.stdout.splitlines() if "::" in line}


def missing(references: Iterable[str]) -> list[str]:
    """Return the references that no collected test answers to."""
    wanted = sorted(set(references))
    ids = collect(sorted({reference.partition("::")[0] for reference in wanted}))
    names = ids | {one.partition("[")[0] for one in ids} | {one.partition("::")[0] for one in ids}
    return [reference for reference in wanted if reference not in names]


def test_every_item_and_every_name_of_the_text_is_listed() -> None:
    text = cases_of_the_text()
    assert list(CATALOGUE) == list(range(1, 76))
    unlisted = {n: names - CATALOGUE[n].keys() for n, names in text.items()}
    assert not any(unlisted.values()), {n: names for n, names in unlisted.items() if names}


def test_there_are_enough_cases() -> None:
    cases = [name for item in CATALOGUE.values() for name in item]
    assert len(cases) >= 75
    assert all(tests for item in CATALOGUE.values() for tests in item.values())


def test_every_listed_test_exists() -> None:
    listed = {
        f"tests/{test}" for item in CATALOGUE.values() for tests in item.values() for test in tests
    }
    assert missing(listed) == []


def test_a_test_that_does_not_exist_is_noticed() -> None:
    good = "tests/architecture/test_catalogue.py::test_there_are_enough_cases"
    assert missing([good, good + "_or_not"]) == [good + "_or_not"]


def threat_model() -> str:
    return (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")


def test_every_test_of_the_threat_model_exists() -> None:
    named = set(re.findall(r"`(tests/[\w/]+\.py(?:::[\w:]+)?)`", threat_model()))
    assert len(named) >= 20
    assert missing(named) == []


@pytest.mark.parametrize("column", ["answer", "test"])
def test_every_attack_has_an_answer_and_a_test(column: str) -> None:
    """A row of the table: number, attack, answer with a paragraph or a row of section 10, test."""
    rows = [line for line in threat_model().splitlines() if re.match(r"\| 3\.\d+ \|", line)]
    numbers = [int(row.split("|")[1].strip()[2:]) for row in rows]
    assert len(set(numbers)) == len(rows) >= 25
    for row in rows:
        _, _, _, answer, tests, _ = row.split("|")
        assert re.search(r"\[[^\]]+\]", answer) if column == "answer" else "`tests/" in tests, row
