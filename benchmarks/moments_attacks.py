"""Claim: what sums by class give away of the examples in them, and what stops that.

    python -m benchmarks.moments_attacks [--sizes 3,5,10,20,50,200] [--classes 0,3,7] [--json]
                                         [--data fashion-mnist] [--out moments_attacks.json]

One class of Fashion-MNIST, 14x14, on one device; its sums are what the algorithms' own device code
answers, encoded as in a task. Two attacks (`benchmarks.attacks`), by
size of the class: images that look like the ones that were summed, and the likelihood ratio of a
candidate against a reference population of its class. Docs: docs/algorithms/moments.md.
"""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import NormalDist, fmean

import numpy as np
from benchmarks.attacks import (
    Doubles,
    Reference,
    Seen,
    area,
    found_at,
    nearest,
    recovered,
    turned,
)

from dreamshare.algorithms.base import Ask
from dreamshare.algorithms.generative import Generative, GenerativeConfig
from dreamshare.algorithms.moments import MomentsConfig, MomentSharing, released
from dreamshare.learning.base import Ints
from dreamshare.learning.data import ArrayData
from dreamshare.learning.generators.cosine import Cosine
from dreamshare.learning.moments import (
    Gaussians,
    Release,
    deviations,
    pixels,
    symmetric,
)
from dreamshare.learning.moments.releasing import COUNT, FIRST, ROOM
from dreamshare.privacy.examples import noise_wanted
from dreamshare_cli.bench.data.sources import load_pool
from dreamshare_cli.bench.recipe import DataPlan
from tests.algorithms.oracle import mean_of
from tests.algorithms.toy import ToyLearner

REFERENCES = 1500
STRANGERS = 1500
FEW = 500
"""References, and candidates, whose products are made."""

REPEATS = 8
"""Draws of noise for each class."""

DRAWN = 1000
FREQUENCIES = 8
LIKE = (0.05, 0.5)
"""Shares of the reference in the covariances that likelihood ratios are tried with."""

NOWHERE = 0.5, 0.01
"""Area and found share where there is nothing to see."""


class Open(ArrayData):
    """Data whose owner lets single examples in."""

    least_class_count = 1


@dataclass(frozen=True, slots=True)
class Case:
    """One class of one size: the members, others, and a reference population, unit space."""

    label: int
    members_ND: Doubles
    others_OD: Doubles
    references_RD: Doubles
    shape: tuple[int, int, int]

    def data(self, guarded: bool = False) -> ArrayData:
        """Return the members as a device holds them, with the policy's least count or with 1."""
        x = self.members_ND.reshape(-1, *self.shape).astype(np.float32)
        y = np.full(len(x), self.label)
        return ArrayData(x, y) if guarded else Open(x, y)


@dataclass(frozen=True, slots=True)
class Row:
    """What attacks reach, shares of 1.

    Attributes:
        size: examples of the class.
        seen: what the attacker sees.
        images: members that some image of the attacker's equals (`attacks.SAME`).
        area: of the membership score.
        found: members found where one in a hundred others is accused.
    """

    size: int
    seen: str
    images: float
    area: float
    found: float


def sums_seen(case: Case, guarded: bool, rng: np.random.Generator) -> Seen | None:
    """Return what `describe` of moments/1 gives away; None where the class is left out."""
    config = MomentsConfig(case.shape, 10, low=-1.0, high=1.0, form="pixels")
    if not guarded:
        config = replace(config, least_examples=1)
    algorithm, totals = MomentSharing(config), np.zeros(10)
    totals[case.label] = len(case.members_ND)
    ask = Ask("describe", algorithm.steps()["describe"], {"totals": totals, "holders": totals})
    update = algorithm.local(ask, ToyLearner(), case.data(guarded), rng)
    if not update.arrays["share"].any():
        return None
    total = mean_of(ask, [update], rng)
    share = float(total["share"][case.label])
    mean_D = total["first"][case.label] / share
    second_DD = symmetric(total["second"][case.label] / share, len(mean_D))
    return Seen(mean_D, second_DD - np.outer(mean_D, mean_D))


def generative_seen(case: Case, rng: np.random.Generator) -> tuple[Seen, Doubles]:
    """Return mean and variances of embeddings as generative/1 sums them, and the basis, (D, F)."""
    config = GenerativeConfig(case.shape, 10, low=-1.0, high=1.0, frequencies=FREQUENCIES)
    algorithm = Generative(config)
    fields = algorithm.steps()["describe"]
    ask = Ask("describe", fields, {"wanted": np.ones(10, np.uint8)})
    total = mean_of(ask, [algorithm.local(ask, ToyLearner(), case.data(), rng)], rng)
    count = float(total["described"][case.label])
    mean_F = total["sums"][case.label].ravel() / count
    variance_F = total["squares"][case.label].ravel() / count - mean_F**2
    one_DCHW = np.eye(int(np.prod(case.shape)), dtype=np.float32).reshape(-1, *case.shape)
    basis_DF = Cosine(case.shape, FREQUENCIES).embed(one_DCHW).reshape(len(one_DCHW), -1)
    return Seen(mean_F, np.diag(np.maximum(variance_F, 0.0))), basis_DF.astype(np.float64)


def best(case: Case, seen: Seen) -> tuple[float, float]:
    """Return area and found share of the better of the membership scores."""
    reference = Reference.of(case.references_RD)
    scores = [(reference.score(seen, x) for x in (case.members_ND, case.others_OD))]
    scores += [
        (reference.likelihood_ratio(seen, x, like) for x in (case.members_ND, case.others_OD))
        for like in LIKE
    ]
    tried = [(area(a, b), found_at(a, b)) for a, b in scores]
    return max(tried)


def of_sums(case: Case, guarded: bool, rng: np.random.Generator) -> Row:
    """Attack the sums of moments/1."""
    size, name = len(case.members_ND), "sums, suppression" if guarded else "sums"
    seen = sums_seen(case, guarded, rng)
    if seen is None:
        return Row(size, name, 0.0, *NOWHERE)
    made_ND = turned(seen, size, rng, starts=12 if size <= 20 else 2)
    return Row(size, name, recovered(made_ND, case.members_ND), *best(case, seen))


def of_set(case: Case, rng: np.random.Generator) -> Row:
    """Attack the synthetic set that is drawn from the sums: is a member nearer to it?"""
    seen, size = sums_seen(case, False, rng), len(case.members_ND)
    if seen is None or seen.covariance_DD is None:
        return Row(size, "synthetic set", 0.0, *NOWHERE)
    values = len(seen.mean_D)
    gaussians = Gaussians(
        seen.mean_D[None], seen.covariance_DD[None], np.zeros(values), pixels(values)
    )
    drawn_MD = gaussians.draw(0, DRAWN, 1)
    a, b = (-nearest(x, drawn_MD) for x in (case.members_ND, case.others_OD))
    return Row(
        size, "synthetic set", recovered(drawn_MD, case.members_ND), area(a, b), found_at(a, b)
    )


def of_generative(case: Case, rng: np.random.Generator) -> Row:
    """Attack the sums of generative/1, in the space of its embeddings."""
    seen, basis_DF = generative_seen(case, rng)
    inside = replace(
        case,
        members_ND=case.members_ND @ basis_DF,
        others_OD=case.others_OD @ basis_DF,
        references_RD=case.references_RD @ basis_DF,
    )
    images = recovered(np.clip(basis_DF @ seen.mean_D, -1, 1)[None], case.members_ND)
    return Row(len(case.members_ND), "generative/1", images, *best(inside, seen))


def of_release(case: Case, epsilon: float, rng: np.random.Generator) -> Row:
    """Attack the noisy release, by whoever knows what the other classes sent.

    The score weighs each number by its noise and its own spread in the reference.
    """
    size = len(case.members_ND)
    config = MomentsConfig(
        case.shape, 10, low=-1.0, high=1.0, form="clipped", epsilon=epsilon, least_examples=1
    )
    fields, release = released.fields(config), released.release_of(config)
    sigma = sigma_of(config)
    own = released.answer(config, case.data(), rng).arrays
    few = slice(0, FEW)
    members, strangers, references = (
        parts_of(release, x_ND, rng)
        for x_ND in (case.members_ND[few], case.others_OD[few], case.references_RD[few])
    )
    middle = references.mean(axis=0)
    spread = size * references.var(axis=0) + sigma**2
    rows = []
    for _ in range(REPEATS):
        total = {f.name: own[f.name] + noise(f.shape, sigma, release.level, rng) for f in fields}
        seen = np.concatenate((*(total[n][case.label] for n in ("first", "each")), total["second"]))
        lean = (seen - size * middle) / spread
        a, b = ((part - middle) @ lean for part in (members, strangers))
        images = images_of(config, case, total, sigma)
        rows.append(Row(size, f"epsilon {epsilon:g}", images, area(a, b), found_at(a, b)))
    return mean_rows(rows)[0]


def parts_of(release: Release, x_ND: Doubles, rng: np.random.Generator) -> Doubles:
    """Return what each example adds to the first and second moments."""
    found = release.levels(x_ND, rng)
    parts = (found.first_NB, found.each_NQ, found.second_NP)
    return np.concatenate(parts, axis=1) * release.level


def noise(shape: tuple[int, ...], sigma: float, level: float, rng: np.random.Generator) -> Doubles:
    """Return Skellam noise of this deviation, on levels."""
    half = (sigma / level) ** 2 / 2
    found: Doubles = (rng.poisson(half, shape) - rng.poisson(half, shape)) * level
    return found


def images_of(
    config: MomentsConfig, case: Case, total: Mapping[str, Doubles], sigma: float
) -> float:
    """Return the share of members that the noisy mean equals, where the class stands out."""
    release = released.release_of(config)
    count = float(total["counts"][case.label]) / (ROOM * COUNT)
    if count <= released.SURE * deviations(sigma).count:
        return 0.0
    mean_1B = total["first"][case.label][None] / (ROOM * FIRST) / count
    v_1D = release.basis.spread(mean_1B * release.basis.scale_B)
    return recovered(np.clip(release.centre + release.radius * v_1D, -1, 1), case.members_ND)


def sigma_of(config: MomentsConfig) -> float:
    """Return the deviation of the noise under a release, of a coordinate of z."""
    fields = released.fields(config)
    asked = released.noise_of(config)
    return noise_wanted(asked, sum(f.size for f in fields), 1) * fields[0].bound


def bound_of(epsilon: float) -> tuple[float, float]:
    """Return area and found share of whoever knows all examples but one, and both its sums."""
    config = MomentsConfig((1, 14, 14), 10, form="clipped", epsilon=epsilon)
    apart = 1.0 / sigma_of(config)
    normal = NormalDist()
    return normal.cdf(apart / 2**0.5), normal.cdf(apart + normal.inv_cdf(0.01))


def case_of(x_ND: Doubles, y_N: Ints, label: int, size: int, shape: tuple[int, int, int]) -> Case:
    """Return the first examples of a class as members, the next as a reference, then others."""
    own = x_ND[y_N == label]
    references = own[size : size + min(REFERENCES, (len(own) - size) // 2)]
    others = own[size + len(references) :][:STRANGERS]
    return Case(label, own[:size], others, references, shape)


def rows_of(case: Case, rng: np.random.Generator) -> list[Row]:
    """Run every attack on one case."""
    return [
        of_sums(case, False, rng),
        of_sums(case, True, rng),
        of_set(case, rng),
        of_generative(case, rng),
        of_release(case, 8.0, rng),
        of_release(case, 2.0, rng),
    ]


def mean_rows(rows: Sequence[Row]) -> list[Row]:
    """Return the means over classes, in the order in which they came."""
    places = dict.fromkeys((row.size, row.seen) for row in rows)
    return [
        Row(
            size,
            seen,
            *(
                round(fmean(getattr(r, name) for r in rows if (r.size, r.seen) == (size, seen)), 3)
                for name in ("images", "area", "found")
            ),
        )
        for size, seen in places
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="3,5,10,20,50,200")
    parser.add_argument("--classes", default="0,3,7")
    parser.add_argument("--data", default="fashion-mnist")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--out", default="")
    asked = parser.parse_args()
    plan = DataPlan(asked.data, halve=asked.data != "digits", validation=300, test=300)
    pool = load_pool(plan)
    x_ND = pool.train.x_NCHW.reshape(len(pool.train.x_NCHW), -1).astype(np.float64)
    y_N = np.asarray(pool.train.y_N)
    rng, rows = np.random.default_rng(0), []
    for size in map(int, asked.sizes.split(",")):
        for label in map(int, asked.classes.split(",")):
            case = case_of(x_ND, y_N, label, size, pool.shape)
            rows += rows_of(case, rng)
    means = mean_rows(rows)
    if not asked.json:
        print("| examples | seen | images | area | found |\n| ---: | --- | ---: | ---: | ---: |")
    for row in means:
        text = f"| {row.size} | {row.seen} | {row.images:.0%} | {row.area:.3f} | {row.found:.0%} |"
        print(json.dumps(asdict(row)) if asked.json else text)
    worst = {f"{eps:g}": [round(part, 3) for part in bound_of(eps)] for eps in (8.0, 2.0)}
    print(json.dumps(worst) if asked.json else f"knows all but one: {worst}")
    if asked.out:
        content = {
            "command": f"python -m benchmarks.moments_attacks --classes {asked.classes}",
            "python": platform.python_version(),
            "rows": [asdict(row) for row in means],
            "knows all but one": worst,
        }
        path = Path(__file__).parent / "results" / asked.out
        path.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
