"""A recipe is read strictly: what is wrong with it is named, before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from dreamshare.errors import ConfigError
from dreamshare_cli.bench.recipe import parse_recipe, read_recipe
from tests.unit.bench.recipes import TINY, tiny


def test_a_recipe_is_what_its_text_says() -> None:
    recipe = tiny()
    assert (recipe.name, recipe.seeds, recipe.rounds) == ("tiny", (0, 3), 2)
    assert recipe.partition[0].alpha == 0.5
    assert recipe.algorithm[0].config == '{"fit_steps":2}'
    assert recipe.text == TINY
    assert len(recipe.sha256) == 64


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("rounds = 2", "rouns = 2", "unknown field 'rouns'"),
        ("samples = 30", "sample = 30", "data: unknown field 'sample'"),
        ("count = 3", "count = 2", "devices.count is 2; choose 3"),
        ("alpha = 0.5\n", "", "alpha > 0 belongs to kind 'dirichlet'"),
        ('kind = "dirichlet"', 'kind = "skew"', r"partition\[0\].kind is 'skew'; choose one of"),
        ('kind = "independent"', 'kind = "alone"', r"baseline\[0\].kind is 'alone'"),
        ("seeds = [0, 3]", "seeds = [3, 3]", "each once"),
        ("seeds = [0, 3]", 'seeds = "0"', "seeds: a list was expected"),
        ('name = "tiny"', 'name = "Tiny recipe"', "lower-case"),
        ("[schedule]", "[[schedule]]", "schedule must be a table"),
        ("rounds = 2", "rounds = ", "not TOML"),
        ("rounds = 2", 'text = "x"', "unknown field 'text'"),
        ('source = "digits"', 'source = "digits"\nfolder = "x"', "data.folder belongs to"),
        ('source = "digits"', 'source = "download"', "data.files belong to"),
        ('source = "digits"', 'source = "digits"\ndomains = ["plain", "inverted"]', "'domain'"),
        ('label = "FedAvg"', 'label = "independent"', "two rows are called 'independent'"),
    ],
)
def test_what_is_wrong_is_named(old: str, new: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        tiny((old, new))


def test_a_files_errors_name_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    with pytest.raises(ConfigError, match=r"a\.toml cannot be read"):
        read_recipe(path)
    path.write_text(TINY + "\n[surplus]\n")
    with pytest.raises(ConfigError, match=r"a\.toml: .*unknown field 'surplus'"):
        read_recipe(path)


def test_a_download_needs_addresses_and_checksums() -> None:
    files = '\n[[data.files]]\nurl = "ftp://x/train-images-idx3-ubyte"\nsha256 = "00"\n'
    with pytest.raises(ConfigError, match="no https or http address"):
        parse_recipe(TINY.replace('source = "digits"', 'source = "download"') + files)
    with pytest.raises(ConfigError, match="64 hexadecimal digits"):
        parse_recipe(
            TINY.replace('source = "digits"', 'source = "download"') + files.replace("ftp", "http")
        )
