"""Public sets: one digest for one content, a file and back, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dreamshare.errors import ConfigError
from dreamshare.learning.public import (
    PublicSet,
    SharingData,
    domain_of,
    load_public,
    naming,
    public_of,
    public_set,
)
from tests.algorithms.toy import toy_data

X = np.arange(24, dtype=np.float32).reshape(6, 1, 2, 2)
Y = np.arange(6, dtype=np.int64) % 3


def test_a_digest_is_of_the_content_in_its_order() -> None:
    one = PublicSet(X, Y)
    assert one.digest == PublicSet(X.copy(), Y.copy()).digest
    assert one.digest == PublicSet(np.asfortranarray(X), Y).digest
    others = (
        PublicSet(X),
        PublicSet(X, Y, Y),
        PublicSet(X, None, Y),
        PublicSet(X[::-1], Y[::-1]),
        PublicSet(X.reshape(6, 1, 4, 1), Y),
        PublicSet(X + 1, Y),
    )
    assert len({one.digest, *(other.digest for other in others)}) == 7


def test_known_answer() -> None:
    """Devices of all machines and releases must find the same digest."""
    import hashlib

    text = (
        b"dreamshare public set 1\n<f4 (6, 1, 2, 2)\n" + X.tobytes() + b"<i8 (6,)\n" + Y.tobytes()
    )
    assert PublicSet(X, Y).digest == hashlib.sha256(text + b"none\n").hexdigest()


@pytest.mark.parametrize("one", [PublicSet(X), PublicSet(X, Y), PublicSet(X, Y, Y)])
def test_a_file_and_back(one: PublicSet, tmp_path: Path) -> None:
    one.save(tmp_path / "set.npz")
    assert load_public(tmp_path / "set.npz").digest == one.digest


def test_files_that_are_none(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", y=Y)
    np.savez(tmp_path / "objects.npz", x=np.array([{}, {}]))
    np.savez(tmp_path / "doubles.npz", x=X.astype(np.float64))
    np.save(tmp_path / "array.npy", X)
    (tmp_path / "text.npz").write_text("x")
    for name in ("other", "objects", "doubles", "text", "none"):
        with pytest.raises(ConfigError):
            load_public(tmp_path / f"{name}.npz")
    with pytest.raises(ConfigError):
        load_public(tmp_path / "array.npy")


def test_the_file_of_a_result_is_read_as_its_set(tmp_path: Path) -> None:
    images = np.arange(12, dtype=np.uint8).reshape(3, 2, 1, 2)
    ends = {"low": np.array([-1.0, 0.0]), "high": np.array([1.0, 5.0])}
    arrays = {"images": images, "labels": np.array([0, 1, 0]), "totals": np.ones(2), **ends}
    np.savez(tmp_path / "result.npz", **arrays)  # type: ignore[arg-type]
    read = load_public(tmp_path / "result.npz")
    assert read.digest == public_of(arrays).digest
    assert read.x_NCHW[0, :, 0, 0].tolist() == [-1.0, np.float32(5 * 2 / 255)]
    assert naming(read, {"inputs", "public_set"}) == {"public_set": read.digest, "inputs": 3}
    with pytest.raises(ConfigError, match="takes no public set"):
        naming(read, {"rounds"})


@pytest.mark.parametrize(
    ("x", "y", "domains"),
    [
        (X[:0], None, None),
        (X.astype(np.float64), None, None),
        (X * np.nan, None, None),
        (X, Y[:3], None),
        (X, Y.astype(np.int32), None),
        (X, Y - 1, None),
        (X, Y, -Y),
    ],
)
def test_what_is_no_public_set(x: np.ndarray, y: np.ndarray, domains: np.ndarray) -> None:
    with pytest.raises(ConfigError):
        PublicSet(x, y, domains)


def test_data_that_share() -> None:
    one, own = PublicSet(X, Y), toy_data(0)
    data = SharingData(own, [one], domain=2)
    assert public_set(data, one.digest, 6) is one and domain_of(data) == 2
    assert len(data) == len(own) and domain_of(own) is None
    np.testing.assert_array_equal(data.class_counts(3), own.class_counts(3))
    np.testing.assert_array_equal(data.held_out().x_NCHW, own.held_out().x_NCHW)
    with pytest.raises(ConfigError, match="task says 5"):
        public_set(data, one.digest, 5)
    for other in (data, own):
        with pytest.raises(ConfigError, match="does not hold"):
            public_set(other, "0" * 64, 6)
    with pytest.raises(ConfigError, match="domain"):
        SharingData(own, [], domain=-1)
