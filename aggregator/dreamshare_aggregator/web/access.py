"""Who may look, who may act: tokens, sessions, and how often somebody may try.

Rules:
- a token is 256 random bits in a file of mode 0600; only its digest is compared, in constant time,
  and against every token that there is, so that the answer's time tells nothing;
- a session is a random cookie (HttpOnly, SameSite=Strict); the server keeps its digest, a role and
  a CSRF token of its own, for `LIFE_S`; there are at most `MOST_SESSIONS`, the oldest gives way;
- wrong tokens are limited per address and altogether; a limit is told, never a hint.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from base64 import urlsafe_b64encode
from collections import OrderedDict
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from dreamshare.errors import ConfigError
from dreamshare_crypto.entropy import Entropy

LIFE_S = 12 * 3600.0
MOST_SESSIONS = 256
TRIES = 5
"""Wrong tokens of one address within `WINDOW_S`; altogether ten times as many."""

WINDOW_S = 60.0
_MOST_ADDRESSES = 1024


class Rank(IntEnum):
    """What a session may do; each rank may do what the one below it may."""

    VIEWER = 1
    OPERATOR = 2


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody who signed in, or who may look without.

    Attributes:
        rank: what they may do.
        csrf: goes with everything they change; "" where they can change nothing.
        ends: Unix seconds.
    """

    rank: Rank
    csrf: str
    ends: float


@dataclass(frozen=True, slots=True)
class Token:
    """A token that was read or made; `made` says which, so that it is shown once."""

    rank: Rank
    digest: bytes
    text: str
    made: bool

    def __repr__(self) -> str:
        return f"Token({self.rank.name}, made={self.made})"


def token_in(path: Path, rank: Rank, entropy: Entropy) -> Token:
    """Return the token of a file; makes it, mode 0600, where there is none.

    Raises:
        ConfigError: the file cannot be read or made, others may read it, or it holds no token.
    """
    try:
        if not path.exists():
            text = _text(entropy)
            with open(path, "x", opener=_private, encoding="ascii") as file:
                file.write(f"{text}\n")
            return Token(rank, _digest(text), text, made=True)
        if path.stat().st_mode & 0o077:
            raise ConfigError(f"{path} can be read by others; chmod 600 {path}")
        text = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot use the token file {path}: {error}") from None
    if len(text) < 32:
        raise ConfigError(f"{path} holds no token of 32 characters or more; remove it to get one")
    return Token(rank, _digest(text), text, made=False)


class Access:
    """The page's door.

    Args:
        tokens: what signs in.
        entropy: of cookies.
        open_rank: what somebody who has not signed in may do; None: nothing.
    """

    def __init__(
        self, tokens: tuple[Token, ...], entropy: Entropy, open_rank: Rank | None = None
    ) -> None:
        self._digests = tuple((token.digest, token.rank) for token in tokens)
        self._entropy = entropy
        self._open_rank = open_rank
        self._sessions: OrderedDict[bytes, Session] = OrderedDict()
        self._tries: OrderedDict[str, tuple[float, ...]] = OrderedDict()
        self._all_tries: tuple[float, ...] = ()

    def knows(self, text: str) -> Rank | None:
        """Return a token's rank, None for a wrong one."""
        digest, found = _digest(text), None
        for known, rank in self._digests:
            if hmac.compare_digest(digest, known):
                found = max(rank, found or rank)
        return found

    def sign_in(self, text: str, address: str, now: float) -> str | None:
        """Return a new session's cookie, or None for a wrong token; see `may_try`."""
        rank = self.knows(text)
        if rank is None:
            self._note(address, now)
            return None
        cookie, csrf = _text(self._entropy), _text(self._entropy)
        self._sessions[_digest(cookie)] = Session(rank, csrf, now + LIFE_S)
        while len(self._sessions) > MOST_SESSIONS:
            self._sessions.popitem(last=False)
        return cookie

    def may_try(self, address: str, now: float) -> bool:
        """Whether this address may show a token now."""
        mine = _recent(self._tries.get(address, ()), now)
        return len(mine) < TRIES and len(_recent(self._all_tries, now)) < 10 * TRIES

    def session(self, cookie: str | None, now: float) -> Session | None:
        """Return who a cookie belongs to; without one, who anybody is."""
        found = None if cookie is None else self._sessions.get(_digest(cookie))
        if found is not None and found.ends > now:
            return found
        return None if self._open_rank is None else Session(self._open_rank, "", now + LIFE_S)

    def sign_out(self, cookie: str) -> None:
        """Forget a session."""
        self._sessions.pop(_digest(cookie), None)

    def _note(self, address: str, now: float) -> None:
        self._tries[address] = (*_recent(self._tries.pop(address, ()), now), now)
        while len(self._tries) > _MOST_ADDRESSES:
            self._tries.popitem(last=False)
        self._all_tries = (*_recent(self._all_tries, now), now)


def _recent(tries: tuple[float, ...], now: float) -> tuple[float, ...]:
    return tuple(moment for moment in tries if moment > now - WINDOW_S)


def _text(entropy: Entropy) -> str:
    return urlsafe_b64encode(entropy.draw(32)).rstrip(b"=").decode()


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)
