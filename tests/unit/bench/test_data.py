"""Where examples come from: files that hold, files that lie, downloads, and what is generated."""

from __future__ import annotations

import gzip
import hashlib
import struct
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from dreamshare.errors import ConfigError
from dreamshare.learning.base import Batch
from dreamshare_cli.bench import nets
from dreamshare_cli.bench.data import colours, tabular, waves
from dreamshare_cli.bench.data.idx import PARTS, fetched, read_folder, read_idx
from dreamshare_cli.bench.data.pool import Pool, divided, halved
from dreamshare_cli.bench.data.sources import DEBIAN, load_pool
from dreamshare_cli.bench.recipe import DataFile, DataPlan
from tests.services import need

SIZES = {PARTS[0]: (60, 6, 6), PARTS[1]: (60,), PARTS[2]: (20, 6, 6), PARTS[3]: (20,)}


def idx(array: NDArray[np.uint8]) -> bytes:
    """Return a file of MNIST's format."""
    head = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.tobytes()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(1)
    for name, shape in SIZES.items():
        highest = 256 if len(shape) == 3 else 4
        raw = idx(rng.integers(0, highest, shape).astype(np.uint8))
        if "t10k" in name:
            (tmp_path / f"{name}.gz").write_bytes(gzip.compress(raw))
        else:
            (tmp_path / name).write_bytes(raw)
    return tmp_path


def plan(folder: Path, **changes: int | bool) -> DataPlan:
    return DataPlan(source="idx", folder=str(folder), validation=10, test=15, **changes)  # type: ignore[arg-type]


def test_a_folder_of_idx_files_is_a_pool(folder: Path) -> None:
    pool = load_pool(plan(folder))
    assert pool.shape == (1, 6, 6)
    assert pool.classes == 4
    assert [len(part.x_NCHW) for _, part in pool.parts()] == [50, 10, 15]
    raw = read_folder(folder)
    assert pool.test.y_N is not None
    assert pool.test.y_N.tolist() == raw[PARTS[3]][:15].tolist()
    assert np.allclose(pool.test.x_NCHW[0, 0] * 127.5 + 127.5, raw[PARTS[2]][0], atol=1e-4)


def test_halving_averages_blocks(folder: Path) -> None:
    whole, half = load_pool(plan(folder)), load_pool(plan(folder, halve=True))
    assert half.shape == (1, 3, 3)
    assert half.train.x_NCHW[7, 0, 1, 2] == pytest.approx(whole.train.x_NCHW[7, 0, 2:4, 4:6].mean())
    with pytest.raises(ConfigError, match="even sizes"):
        halved(half.train.x_NCHW)


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "no IDX file"),
        (b"\0\0\x0d\1\0\0\0\1\0\0\0\0", "no IDX file"),
        (b"\0\0\x08\2\0\0\0\1", "ends in its header"),
        (b"\0\0\x08\1\0\0\0\3ab", r"says \(3,\) and holds 2 bytes"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, raw: bytes, said: str) -> None:
    path = tmp_path / "x"
    path.write_bytes(raw)
    with pytest.raises(ConfigError, match=said):
        read_idx(path)


def test_a_file_that_is_no_gzip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.gz"
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_idx(path)


def test_what_is_missing_is_named(folder: Path) -> None:
    (folder / PARTS[1]).unlink()
    with pytest.raises(ConfigError, match="holds no train-labels"):
        load_pool(plan(folder))


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def server(folder: Path) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as served:
        thread = threading.Thread(target=served.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{served.server_port}"
        served.shutdown()
        thread.join()


def files(folder: Path, address: str) -> list[DataFile]:
    paths = [path for path in sorted(folder.iterdir()) if path.name.removesuffix(".gz") in PARTS]
    return [
        DataFile(f"{address}/{path.name}", hashlib.sha256(path.read_bytes()).hexdigest())
        for path in paths
    ]


def test_a_download_is_checked_and_kept(folder: Path, server: str, tmp_path: Path) -> None:
    wanted = files(folder, server)
    kept = fetched(wanted, tmp_path / "cache")
    assert read_folder(kept).keys() == read_folder(folder).keys()
    nowhere = [
        DataFile(file.url.replace(server, "http://127.0.0.1:9"), file.sha256) for file in wanted
    ]
    assert fetched(nowhere, tmp_path / "cache") == kept  # nothing is asked for twice


def test_a_download_with_another_checksum_is_not_used(
    folder: Path, server: str, tmp_path: Path
) -> None:
    wanted = files(folder, server)
    wanted[0] = DataFile(wanted[0].url, "0" * 64)
    with pytest.raises(ConfigError, match="do not use it"):
        fetched(wanted, tmp_path / "cache")
    with pytest.raises(ConfigError, match="must be four"):
        fetched(wanted[1:], tmp_path / "cache")


def test_waves_are_a_function_of_the_seed_and_have_every_class() -> None:
    x, y = waves.make_waves(60, 5)
    again, _ = waves.make_waves(60, 5)
    assert x.shape == (60, 1, 1, waves.LENGTH)
    assert (x == again).all()
    assert np.abs(x).max() <= 1.0
    assert np.bincount(y).tolist() == [10] * waves.CLASSES
    pool = load_pool(DataPlan(source="waves"))
    assert pool.classes == waves.CLASSES


def grey(count: int) -> NDArray[np.float32]:
    ramp = np.linspace(-1.0, 1.0, 28 * 28, dtype=np.float32).reshape(1, 1, 28, 28)
    return np.repeat(ramp, count, axis=0)


def test_colours_are_a_function_of_the_seed_and_leave_the_shape() -> None:
    x = colours.coloured(grey(600), 5)
    assert x.shape == (600, 3, 28, 28) and x.dtype == np.float32
    assert np.abs(x).max() <= 1.0
    assert (x == colours.coloured(grey(600), 5)).all()
    assert (x != colours.coloured(grey(600), 6)).any()
    spread = x.std(axis=0)
    assert spread.min() > 0.2  # hue says nothing: every value goes everywhere
    assert np.abs(x[:, :, 0, 0] - x[:, :, 27, 27]).mean() > 0.3  # fore- and background differ
    bright = x[:, :, 20] - x[:, :, 27]  # the foreground is shaded by the grey
    assert (bright <= 1e-6).all()


def test_the_texture_is_smooth_and_of_its_size() -> None:
    x = colours.coloured(np.full((400, 1, 28, 28), -1.0, np.float32), 1)
    assert 0.1 < x.std(axis=(2, 3)).mean() < 0.4
    assert np.abs(np.diff(x, axis=3)).mean() < 0.06


def test_padding_is_background() -> None:
    x = colours.padded(grey(2), 32)
    assert x.shape == (2, 1, 32, 32)
    assert (x[:, :, :2] == -1.0).all() and (x[:, :, :, -2:] == -1.0).all()
    np.testing.assert_array_equal(x[:, :, 2:30, 2:30], grey(2))


@pytest.mark.parametrize(("source", "side"), [("fashion-colours", 28), ("fashion-colours-32", 32)])
def test_fashion_in_colours(source: str, side: int) -> None:
    if not DEBIAN.is_dir():
        need("Fashion-MNIST", "dataset-fashion-mnist")
    pool = load_pool(DataPlan(source=source, validation=50, test=60))
    assert pool.shape == (3, side, side)
    assert [len(part.x_NCHW) for _, part in pool.parts()] == [12_000, 50, 60]
    plain = load_pool(DataPlan(source="fashion-mnist", validation=50, test=60))
    assert (pool.test.y_N == plain.test.y_N).all()


def test_a_generated_table_is_a_function_of_the_seed_and_has_every_class() -> None:
    x, y = tabular.make_table(600, 5)
    again, _ = tabular.make_table(600, 5)
    assert x.shape == (600, 20, 1, 1)
    assert (x == again).all()
    assert np.abs(x).max() <= 1.0
    assert (np.abs(x[:, -tabular.FLAGS :]) == 1.0).all()
    assert np.bincount(y).tolist() == [100] * tabular.CLASSES


def test_rows_of_parity_have_one_mean_and_one_covariance_whatever_their_class() -> None:
    x, y = tabular.make_parity(20_000, 5)
    rows = x.reshape(len(x), -1).astype(np.float64)
    means = [rows[y == label].mean(axis=0) for label in (0, 1)]
    spreads = [np.cov(rows[y == label].T) for label in (0, 1)]
    np.testing.assert_allclose(means[0], means[1], atol=0.03)
    np.testing.assert_allclose(spreads[0], spreads[1], atol=0.03)
    assert ((rows[:, : tabular.MARKS] > 0).prod(axis=1)[y == 0] == 0).all()


@pytest.mark.parametrize(
    ("source", "columns", "classes"),
    [("table", 20, tabular.CLASSES), ("parity", 6, 2), ("breast-cancer", 30, 2)],
)
def test_tables_are_pools_and_have_nets(source: str, columns: int, classes: int) -> None:
    pool = load_pool(DataPlan(source=source, validation=50, test=60))
    assert pool.shape == (columns, 1, 1)
    assert pool.classes == classes
    for name in nets.TABLE_NETS:
        net = nets.build(name, pool.shape, classes, 3).eval()
        assert net(torch.from_numpy(pool.test.x_NCHW)).shape == (60, classes)
        with pytest.raises(ConfigError, match="does not take inputs"):
            nets.build(name, (1, 1, 20), classes, 3)
    with pytest.raises(ConfigError, match="does not take inputs"):
        nets.build("Temporal-like", pool.shape, classes, 3)


def own(validation: int, test: int) -> Pool:
    """Return a source of one's own."""
    x = np.zeros((50, 2, 3, 3), np.float32)
    parts = divided(x, np.arange(50, dtype=np.int64) % 3, (validation, test))
    return Pool(*parts, 3, -1.0, 1.0)


def test_a_source_of_ones_own_is_named_by_its_function() -> None:
    here = f"{__name__}:own"
    assert load_pool(DataPlan(source=here, validation=5, test=5)).shape == (2, 3, 3)
    with pytest.raises(ConfigError, match="neither known here nor of the form"):
        load_pool(DataPlan(source="cifar"))
    with pytest.raises(ConfigError, match="cannot be imported"):
        load_pool(DataPlan(source="nowhere.at_all:make"))
    with pytest.raises(ConfigError, match="no function 'other'"):
        load_pool(DataPlan(source=f"{__name__}:other"))


def test_a_pool_refuses_classes_beyond_its_number() -> None:
    x, y = np.zeros((4, 1, 2, 2), np.float32), np.array([0, 1, 2, 3])
    good = Batch(x, y)
    with pytest.raises(ConfigError, match="class outside 0 to 2"):
        Pool(good, good, good, 3, -1.0, 1.0)


def test_digits_are_divided_as_in_the_demo() -> None:
    pool = load_pool(DataPlan(source="digits", validation=297, test=500))
    assert [len(part.x_NCHW) for _, part in pool.parts()] == [1000, 297, 500]
    with pytest.raises(ConfigError, match="the recipe wants"):
        load_pool(DataPlan(source="digits", validation=297, test=501))


def test_fashion_mnist_of_the_debian_package() -> None:
    if not DEBIAN.is_dir():
        need("Fashion-MNIST", "dataset-fashion-mnist")
    pool = load_pool(DataPlan(source="fashion-mnist", validation=1000, test=2500))
    assert pool.shape == (1, 28, 28)
    assert [len(part.x_NCHW) for _, part in pool.parts()] == [59_000, 1000, 2500]
