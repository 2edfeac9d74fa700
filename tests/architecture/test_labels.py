"""Every label separates one purpose: what the code hashes, derives and signs is what the text says.

A label is looked for wherever the code names one, and so is what it is handed to.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path

import pytest

from tests.architecture.packages import ROOMS, ROOT, sources

LABEL = re.compile(r"sa2/v1/[\w-]+")
PROTOCOL = set(LABEL.findall((ROOT / "docs" / "protocol.md").read_text()))

PURPOSES = {
    "hash_parts": "hash",
    "derive": "key",
    "label": "key",  # of `derive`, in a variable
    "sign": "signature",
    "verify_signature": "signature",
    "LABEL": "signature",
    "_LABEL": "signature",
    "RING_LABEL": "permutation",
    "WITNESS_LABEL": "permutation",
    "SEEDERS_LABEL": "permutation",
    "(_ENROL, _ENROLLED)": "mac and signature",  # 5.4: both are checked over the same fields
}
BOTH = {"sa2/v1/offer", "sa2/v1/roster", "sa2/v1/shares", "sa2/v1/deliver"}
"""Hashed and signed under one label; the text says so (17.10)."""


def _used_by(node: ast.AST, parents: dict[ast.AST, ast.AST]) -> str:
    while not isinstance(node, ast.Call | ast.Assign | ast.AnnAssign):
        node = parents[node]
    match node:
        case ast.Call():
            return ast.unparse(node.func).rpartition(".")[2]
        case ast.Assign():
            return ast.unparse(node.targets[0])
        case ast.AnnAssign():
            return ast.unparse(node.target)
    raise AssertionError(node)


def _uses(path: Path) -> list[tuple[str, str]]:
    tree = ast.parse(path.read_text())
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    return [
        (node.value, _used_by(node, parents))
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and LABEL.fullmatch(node.value)
    ]


@pytest.fixture(scope="module")
def uses() -> dict[str, set[str]]:
    found: defaultdict[str, set[str]] = defaultdict(set)
    for package in ROOMS:
        for path in sources(package):
            for label, user in _uses(path):
                found[label].add(user)
    return dict(found)


def test_the_text_and_the_code_have_the_same_labels(uses: dict[str, set[str]]) -> None:
    assert set(uses) == PROTOCOL


def test_a_label_has_one_purpose(uses: dict[str, set[str]]) -> None:
    unknown = {user for users in uses.values() for user in users} - PURPOSES.keys()
    assert not unknown, "say in PURPOSES what these do with a label"
    purposes = {label: {PURPOSES[user] for user in users} for label, users in uses.items()}
    several = {label for label, found in purposes.items() if len(found) > 1}
    assert several == BOTH - {"sa2/v1/shares", "sa2/v1/deliver"}  # `LABEL` serves both there


def test_each_signed_message_has_a_label_of_its_own() -> None:
    """No signature for one kind of message can be shown as one for another (2.2)."""
    users: defaultdict[str, list[str]] = defaultdict(list)
    for path in sources("dreamshare_crypto"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                for label in (
                    each.value.value
                    for each in node.body
                    if isinstance(each, ast.AnnAssign)
                    and ast.unparse(each.target) == "LABEL"
                    and isinstance(each.value, ast.Constant)
                ):
                    users[str(label)].append(node.name)
    assert len(users) >= 15
    assert {label: names for label, names in users.items() if len(names) > 1} == {}
