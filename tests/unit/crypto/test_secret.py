"""Secrets say what they are and nothing about their content."""

from __future__ import annotations

import copy
import pickle

import pytest

from dreamshare_crypto.keys import Secret


def test_repr_shows_kind_and_length_only() -> None:
    secret = Secret(b"\xaa" * 32, "pair mask key")
    assert repr(secret) == str(secret) == "<pair mask key, 32 bytes>"
    assert "aa" not in repr([secret]).replace("mask", "")


def test_equality_is_of_content_and_only_between_secrets() -> None:
    assert Secret(b"ab", "one kind") == Secret(b"ab", "another")
    assert Secret(b"ab") != Secret(b"ac")
    assert Secret(b"ab") != Secret(b"abc")
    assert Secret(b"ab") != b"ab"


@pytest.mark.parametrize("leak", [pickle.dumps, copy.copy, copy.deepcopy, hash, bytes, iter])
def test_a_secret_leaves_through_reveal_alone(leak: object) -> None:
    assert callable(leak)
    with pytest.raises(TypeError):
        leak(Secret(b"ab"))
    assert Secret(b"ab").reveal() == b"ab"


def test_an_empty_secret_is_still_a_secret() -> None:
    assert Secret(b"")
    assert len(Secret(b"")) == 0


def test_the_bytes_are_a_copy() -> None:
    source = bytearray(b"ab")
    secret = Secret(source)
    source[0] = 0
    assert secret.reveal() == b"ab"
