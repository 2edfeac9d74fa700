"""A learner for `dreamshare agent join`: the function that a device names with --learner.

    dreamshare up                                                  # one shell; prints the token
    dreamshare agent join TOKEN --learner join_device.py:make_equipment        # each device

The function runs on the device, once, and returns what computes and the device's own examples; code
never travels. Run as it stands, the file plays an enrolment with both ends in one process, as it
goes when requests and answers travel as files:

    python examples/join_device.py
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from sklearn.datasets import load_digits
from torch import nn

from dreamshare import ArrayData, Batch, TorchLearner
from dreamshare_cli.authority_work import AuthorityWork
from dreamshare_crypto.certificates import Role
from dreamshare_crypto.enrolment import EnrolRequest, InvitationTerms, Token
from dreamshare_edge import Equipment
from dreamshare_edge.certifying import Applicant, fingerprint_of


def make_equipment(settings: Mapping[str, str | int | float | bool]) -> Equipment:
    """Return a small net and 100 handwritten digits; `first` in [learner.settings] picks them."""
    digits = load_digits()
    x = (digits.images.astype("float32") / 8 - 1)[:, None]
    y = digits.target.astype("int64")
    first = int(settings.get("first", 0))
    mine = slice(first, first + 100)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    data = ArrayData(x[mine], y[mine], held_out=Batch(x[1500:], y[1500:]))
    return Equipment(TorchLearner(net, classes=10), data, label="two layers")


def main() -> None:
    """Invite a device, make its keys, approve its request, take the answer."""
    with TemporaryDirectory() as folder:
        authority = AuthorityWork(Path(folder) / "laptop")
        authority.folder.create()
        where = ["grpcs://aggregator.example:7444"]
        token = authority.invite(Role.DEVICE, "kitchen", where, InvitationTerms(by_hand=True))

        device = Applicant(Path(folder) / "device.key")
        pending = device.with_token(Token.from_text(token.text()))
        shown = fingerprint_of(pending)
        print(f"the device shows   {shown}")

        request = EnrolRequest.decode(pending.message)
        (inquiry,) = authority.inquiries([request])
        print(f"the operator sees  {inquiry.fingerprint}")
        (answer,) = authority.approve([request], lambda one: one.fingerprint == shown, days=90)
        identity = device.accepted(pending, answer.reply)
        device.save(identity)
        print(f"device {identity.id.hex()} is enrolled")

    equipment = make_equipment({"first": 100})
    print(f"{equipment.label}: {len(equipment.data)} examples, accuracy {equipment.accuracy():.0%}")


if __name__ == "__main__":
    main()
