"""The agent's settings file and the learner that it names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dreamshare.errors import ConfigError
from dreamshare.learning.base import Batch
from dreamshare.learning.data import ArrayData
from dreamshare.learning.public import PublicSet, domain_of, public_set
from dreamshare.settings import default_text, read_settings
from dreamshare_edge.config import AgentConfig, load_config
from dreamshare_edge.equipment import Equipment, equipment_of, load_equipment
from dreamshare_edge.sample import FACTORY


def test_paths_are_taken_from_the_folder_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    path.write_text(
        'identity = "a.key"\nstore = "/var/lib/x"\nreport = "r.jsonl"\n'
        '[learner]\nbundle = "net.dream"\n[data]\nimages = "photos"\n'
    )
    config = load_config(path)
    assert config.identity == tmp_path / "a.key"
    assert config.store == Path("/var/lib/x")
    assert config.report == tmp_path / "r.jsonl"
    assert config.learner.bundle == tmp_path / "net.dream"
    assert config.data.images == tmp_path / "photos"


def test_the_printed_default_is_the_default() -> None:
    text = default_text(AgentConfig)
    assert read_settings(AgentConfig, text, source="agent.toml") == AgentConfig()
    for key in (
        "link",
        "identity",
        "[learner]",
        "[learner.settings]",
        "[data]",
        "[policy]",
        "least_cohort",
    ):
        assert key in text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("algorithms = []", "algorithms is empty"),
        ("threads = 0", "threads is 0"),
        ("seed = -1", "seed is -1"),
        ("polcy = 1", "did you mean 'policy'"),
        ("[policy]\nleast_cohort = 2", "least_cohort is 2"),
        ("[policy]\nleast_cohor = 3", "did you mean 'policy.least_cohort'"),
        ('[learner]\nbundle = "a.dream"\nfactory = "b:c"', "a bundle or a factory, not both"),
        ('[learner]\nbundle = "a.dream"\nsettings = {b = 1}', "settings go to a factory"),
        ('[learner]\nfactory = "b:c"\nmemory_mb = 9', "go with a bundle"),
        ('[learner]\nfactory = "b:c"\nproviders = ["X"]', "go with a bundle"),
        ("[learner]\nmemory_mb = 0", "memory_mb is 0"),
        ('[learner]\nfactory = "b:c"\n[data]\ncsv = "a"', "csv needs columns"),
        ('[learner]\nfactory = "b:c"\n[data]\nimages = "a"', "[data] goes with a bundle"),
        ('[data]\nimages = "a"\narrays = "b"', "one of images, csv and arrays"),
        ('[data]\nimages = "a"\nwindow = 3', "go with csv"),
        ('[data]\narrays = "a"\nclasses = ["x", "y"]', "leave classes out"),
        ('[data]\ncsv = "a"\ncolumns = ["b"]\nclasses = ["c", "c"]', "one of them twice"),
        ('[data]\ncsv = "a"\ncolumns = ["b"]\nclasses = ["c"]\nstride = 2', "go with window"),
        ('[data]\ncsv = "a"\ncolumns = ["b"]\nclasses = ["c"]\nwindow = -2', "0 or more"),
        ("[data]\nheld_out = 1.0", "held_out is 1.0"),
        ("[data]\ndomain = -2", "domain is -2"),
    ],
)
def test_mistakes_name_file_and_key(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "agent.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


def test_public_sets_lie_beside_the_data_of_a_factory(tmp_path: Path) -> None:
    one = PublicSet(np.zeros((3, 1, 8, 8), np.float32), np.arange(3))
    one.save(tmp_path / "seeds.npz")
    path = tmp_path / "agent.toml"
    path.write_text(
        f'[learner]\nfactory = "{FACTORY}"\n[data]\npublic = ["seeds.npz"]\ndomain = 1\n'
    )
    data = equipment_of(load_config(path)).data
    assert public_set(data, one.digest, 3).digest == one.digest
    assert domain_of(data) == 1
    (tmp_path / "seeds.npz").write_bytes(b"no file of ours")
    with pytest.raises(ConfigError, match="public set"):
        equipment_of(load_config(path))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing", "must read 'package.module:function'"),
        ("dreamshare_nowhere:make", "there is no module 'dreamshare_nowhere'"),
        ("json:make_learner", "json has no function 'make_learner'"),
        ("builtins:dict", "returned dict; it must return a dreamshare_edge.Equipment"),
    ],
)
def test_a_factory_that_does_not_fit_is_named(name: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_equipment(name, {})
    assert message in str(caught.value)


class Signs:
    """Classifies by sign, two classes; enough of a learner to be measured."""

    classes = 2

    def logits(self, x_NCHW: np.ndarray) -> np.ndarray:
        x_N = x_NCHW.reshape(len(x_NCHW))
        return np.stack([-x_N, x_N], axis=1)


def test_accuracy_is_the_part_of_the_held_out_examples_that_is_right() -> None:
    x = np.array([-1.0, 2.0, 3.0, -4.0], np.float32).reshape(4, 1, 1, 1)
    y = np.array([0, 1, 0, 0])  # three of four
    judged = ArrayData(x, y, held_out=Batch(x, y))
    assert Equipment(Signs(), judged).accuracy() == 0.75  # type: ignore[arg-type]
    assert Equipment(Signs(), ArrayData(x, y)).accuracy() is None  # type: ignore[arg-type]
