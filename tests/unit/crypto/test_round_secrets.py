"""A device's sealed record of one round: one way to write it (docs/protocol.md 2.8)."""

from __future__ import annotations

import pytest

from dreamshare_crypto.errors import MalformedError
from dreamshare_crypto.secagg.vault import RoundSecrets
from dreamshare_crypto.transcript import Writer


def test_shares_are_in_their_dealers_order_each_once() -> None:
    def record(*dealers: int) -> bytes:
        writer = Writer().raw(bytes(64)).u32(len(dealers))
        for dealer in dealers:
            writer.u32(dealer).var(bytes(32)).raw(bytes(32))
        return writer.finish()

    assert set(RoundSecrets.decode(record(1, 4)).shares) == {1, 4}
    for dealers in ((4, 1), (1, 1)):
        with pytest.raises(MalformedError, match="dealers' order"):
            RoundSecrets.decode(record(*dealers))
