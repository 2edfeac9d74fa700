"""Small recipes for tests."""

from __future__ import annotations

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
