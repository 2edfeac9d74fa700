"""What the aggregator of a demo could see and what it could not, in words for people.

Rules:
- one text for the terminal and the report; figures come from the run;
- a limit of the protection is said beside the protection (docs/threat-model.md has the whole).
"""

from __future__ import annotations

from dataclasses import dataclass

from dreamshare_cli.demo.result import DemoResult
from dreamshare_cli.demo.wording import WORDINGS


@dataclass(frozen=True, slots=True)
class Disclosure:
    """Sentences, each one fact.

    Attributes:
        seen: what the aggregator learnt.
        unseen: what it did not learn.
        limits: what the masks do not protect from.
    """

    seen: tuple[str, ...]
    unseen: tuple[str, ...]
    limits: tuple[str, ...]


def disclose(result: DemoResult) -> Disclosure:
    """Return the sentences for this run."""
    crowd = f"{len(result.clients)} devices"
    if result.dropped:
        crowd = f"{len(result.survivors)} devices or more"
    who = (
        "Which devices took part (id, name of the architecture), when each answered, and how many "
        "bytes it sent"
    )
    if result.dropped:
        who += f"; that {result.dropped} of them stopped answering"
    return Disclosure(
        seen=(
            f"{who}.",
            *(
                f"{run.name}: {run.aggregations} sums, each over {crowd}: "
                f"{WORDINGS[run.name].sums}."
                for run in result.runs
            ),
            *(WORDINGS[run.name].made for run in result.runs),
        ),
        unseen=(
            "Any single image.",
            "Any net: neither its weights nor their gradients left the device.",
            "The answer of one device. Each came under masks that cancel only in the sum: to the "
            "aggregator it is a string of random words.",
            "How many digits a device holds and of which classes.",
            "Any device's accuracy. The figures here were read from the devices' own files.",
        ),
        limits=(
            *(WORDINGS[run.name].limit for run in result.runs),
            "Sums over few devices still tell something about the group, and a device that helps "
            "the aggregator takes its own part out of the sum. Real cohorts should be larger.",
            "Here everything runs on one machine under one account, so this shows the protocol, "
            "not a separation of the parties.",
        ),
    )
