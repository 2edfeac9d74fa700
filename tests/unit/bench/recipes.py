"""Small recipes for tests."""

from __future__ import annotations

import json
from pathlib import Path

from dreamshare_cli.bench.recipe import Recipe, parse_recipe

TINY = """
name = "tiny"
about = "Two methods, as small as they get."
seeds = [0, 3]
rounds = 2

[data]
source = "digits"
samples = 30
validation = 60
test = 50

[[partition]]
name = "alpha 0.5"
kind = "dirichlet"
alpha = 0.5

[devices]
count = 3
architectures = ["VGG-like", "MobileNet-like"]

[schedule]
warm_up_epochs = 1
fit_steps = 2

[[baseline]]
kind = "independent"

[[algorithm]]
name = "fedavg/1"
label = "FedAvg"
architectures = ["VGG-like"]
[algorithm.config]
fit_steps = 2
"""


def tiny(*changes: tuple[str, str]) -> Recipe:
    """Return the tiny recipe with parts of its text replaced; each must be there."""
    text = TINY
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return parse_recipe(text)


def timeless(path: Path) -> list[dict[str, object]]:
    """Return a cell's lines without what depends on how fast a machine is."""
    lines = [json.loads(text) for text in path.read_text().splitlines()]
    return [
        {k: v for k, v in line.items() if k not in ("compute_s", "seconds", "cpu_s")}
        for line in lines
    ]
