"""The page's door: tokens, sessions, and how often somebody may try."""

from __future__ import annotations

from pathlib import Path

import pytest

from dreamshare.errors import ConfigError
from dreamshare_aggregator.web.access import (
    LIFE_S,
    MOST_SESSIONS,
    TRIES,
    WINDOW_S,
    Access,
    Rank,
    token_in,
)
from dreamshare_crypto.entropy import SystemEntropy

NOW = 1_800_000_000.0


def access(tmp_path: Path, open_rank: Rank | None = None) -> tuple[Access, str, str]:
    entropy = SystemEntropy()
    viewer = token_in(tmp_path / "viewer", Rank.VIEWER, entropy)
    operator = token_in(tmp_path / "operator", Rank.OPERATOR, entropy)
    return Access((viewer, operator), entropy, open_rank), viewer.text, operator.text


def test_a_token_is_made_once_and_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "viewer"
    made = token_in(path, Rank.VIEWER, SystemEntropy())
    again = token_in(path, Rank.VIEWER, SystemEntropy())
    assert (made.made, again.made) == (True, False)
    assert made.text == again.text
    assert len(made.text) == 43  # 256 bits in base64
    assert path.stat().st_mode & 0o777 == 0o600
    assert made.text not in repr(made)
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="can be read by others"):
        token_in(path, Rank.VIEWER, SystemEntropy())
    path.chmod(0o600)
    path.write_text("short\n")
    with pytest.raises(ConfigError, match="holds no token of 32 characters"):
        token_in(path, Rank.VIEWER, SystemEntropy())


def test_a_token_opens_a_session_of_its_rank_until_it_ends(tmp_path: Path) -> None:
    door, viewer, operator = access(tmp_path)
    look, act = door.sign_in(viewer, "a", NOW), door.sign_in(operator, "a", NOW)
    assert look is not None and act is not None
    one, other = door.session(look, NOW), door.session(act, NOW)
    assert one is not None and other is not None
    assert (one.rank, other.rank) == (Rank.VIEWER, Rank.OPERATOR)
    assert one.csrf != other.csrf
    assert door.session(look, NOW + LIFE_S) is None
    door.sign_out(act)
    assert door.session(act, NOW) is None
    for nobody in (None, "", viewer, look[:-1], "x" * 43):
        assert door.session(nobody, NOW) is None


def test_wrong_tokens_are_limited_by_address_and_altogether(tmp_path: Path) -> None:
    door, viewer, _ = access(tmp_path)
    for _ in range(TRIES):
        assert door.may_try("a", NOW)
        assert door.sign_in("wrong", "a", NOW) is None
    assert not door.may_try("a", NOW)
    assert door.may_try("b", NOW), "others are not kept out by one"
    assert door.may_try("a", NOW + WINDOW_S + 1)
    for number in range(9 * TRIES):
        door.sign_in("wrong", f"other {number}", NOW)
    assert not door.may_try("nobody yet", NOW), "a crowd of addresses is limited, too"
    assert door.sign_in(viewer, "a", NOW) is not None


def test_sessions_and_addresses_are_bounded(tmp_path: Path) -> None:
    door, viewer, _ = access(tmp_path)
    first = door.sign_in(viewer, "a", NOW)
    for _ in range(MOST_SESSIONS):
        last = door.sign_in(viewer, "a", NOW)
    assert door.session(first, NOW) is None
    assert door.session(last, NOW) is not None
    for number in range(3000):
        door.sign_in("wrong", f"address {number}", NOW + number * WINDOW_S)
    assert len(door._tries) <= 1024


def test_an_open_page_lets_anybody_look_and_nobody_act(tmp_path: Path) -> None:
    door, _, _ = access(tmp_path, Rank.VIEWER)
    anybody = door.session(None, NOW)
    assert anybody is not None
    assert (anybody.rank, anybody.csrf) == (Rank.VIEWER, "")
