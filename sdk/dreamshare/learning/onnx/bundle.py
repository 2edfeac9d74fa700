"""A bundle, NAME.dream: a model's graphs and weights in one zip file.

    manifest.json         what it is, with size and SHA-256 of every other member
    weights.safetensors   the state that was exported, by the net's own names
    NAME.onnx             one file for each graph

How a device uses it (numpy and onnxruntime only):

    bundle = read_bundle(path)                      # sizes, versions and hashes are checked here
    weights = bundle.weights()                      # {"fc.weight": array, ...}: parameters, buffers
    dreaming = bundle.open("dream_grad", weights)   # a `Program`; weights are bound to the session
    found = dreaming.run(dream_feeds(bundle.manifest, x_NCHW, objective))    # `calls`
    found["gradient"], found["logits"], ...
    training = Training(bundle)                     # `training`: graphs that take weights as inputs
    loss = training.step(state, batches, objective)

Graphs (`manifest.graphs[name].inputs` and `.outputs` list every port):

    logits       x -> logits
    dream_grad   x, targets, student, cotangent, label_weight, entropy_weight, feature_weight,
                 diversity, adversarial (, S/) -> gradient, logits, wrong, entropy, features,
                 spread, apart, student_cotangent
    statistics   x -> S/; of nets with LayerNorm or GroupNorm and without BatchNorm, whose
                 `dream_grad` takes them: the device's own, from its own data
    gradients    x, targets, log_prior, temperature, weight, batch, track, P/, B/, G/
                 -> loss, G_/, B_/
    train_sgd    the inputs of `gradients`, M/ and rate, momentum, decay -> loss, P_/, B_/, M_/
    train_adam   the inputs of `gradients`, M/, V/ and rate, correction, decay
                 -> loss, P_/, B_/, M_/, V_/

Rules:
- a session's weights are external initialisers, which onnxruntime overlays before it folds
  constants; overlaying embedded ones gives wrong results without a word, so a graph that embeds
  weights is never written;
- a graph is read whole or not at all: caps first, then the hash, then onnxruntime.
"""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dreamshare.learning.onnx.errors import BundleError
from dreamshare.learning.onnx.manifest import MAX_MANIFEST, Manifest, Member
from dreamshare.learning.onnx.runtime import Program, Runtime, open_program
from dreamshare.learning.onnx.tensors import Arrays, pack_arrays, unpack_arrays

MANIFEST = "manifest.json"
WEIGHTS = "weights.safetensors"
MAX_MEMBERS = 64
MAX_BYTES = 1 << 30
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle in memory.

    Attributes:
        manifest: what it says of itself.
        members: contents by name, the manifest left out.
    """

    manifest: Manifest
    members: Mapping[str, bytes]

    def weights(self) -> Arrays:
        """Return the exported state by the net's own names.

        Raises:
            BundleError: the names are not those of the manifest, or a value is not finite.
        """
        arrays = unpack_arrays(self.members[WEIGHTS])
        if set(arrays) != {*self.manifest.parameters, *self.manifest.buffers}:
            raise BundleError("the bundle's weights are not those that its manifest names")
        for name, array in arrays.items():
            if not np.isfinite(array).all():
                raise BundleError(f"the bundle's weight {name} is not finite; export it again")
        return arrays

    def open(
        self,
        name: str,
        weights: Mapping[str, NDArray[np.generic]],
        runtime: Runtime | None = None,
    ) -> Program:
        """Return a graph as a program; `weights` by the net's own names are bound to it.

        Raises:
            BundleError: no such graph, a weight is missing, or onnxruntime refuses it.
        """
        entry = self.manifest.graphs.get(name)
        if entry is None:
            known = ", ".join(sorted(self.manifest.graphs))
            raise BundleError(f"the bundle has no graph {name!r}; it has {known}")
        try:
            values = {name: weights[name.partition("/")[2]] for name in entry.weights}
        except KeyError as error:
            raise BundleError(f"graph {entry.name} needs the weight {error}") from None
        return open_program(entry, self.members[entry.member], values, runtime or Runtime())

    def to_bytes(self) -> bytes:
        """Return the file; the same bundle gives the same bytes."""
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            sorted_members = dict(sorted(self.members.items()))
            for name, content in {MANIFEST: self.manifest.to_json(), **sorted_members}.items():
                info = zipfile.ZipInfo(name, _EPOCH)
                info.compress_type = zipfile.ZIP_DEFLATED
                info.external_attr = 0o644 << 16
                archive.writestr(info, content)
        return out.getvalue()


def read_bundle(source: Path | bytes) -> Bundle:
    """Read a bundle; every member is checked against size and hash.

    Raises:
        BundleError: not a bundle, too large, damaged, or of an unknown format.
    """
    try:
        with zipfile.ZipFile(
            io.BytesIO(source) if isinstance(source, bytes) else source
        ) as archive:
            return _read(archive)
    except FileNotFoundError:
        raise BundleError(f"there is no bundle {source!s}") from None
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        NotImplementedError,
        OSError,
        RuntimeError,
        ValueError,
    ) as error:
        raise BundleError(f"this is not a bundle ({error}); was the file cut?") from None


def _read(archive: zipfile.ZipFile) -> Bundle:
    infos = {info.filename: info for info in archive.infolist()}
    if len(archive.infolist()) > MAX_MEMBERS or len(infos) != len(archive.infolist()):
        raise BundleError(f"a bundle has at most {MAX_MEMBERS} members, each of its own name")
    if sum(info.file_size for info in infos.values()) > MAX_BYTES:
        raise BundleError(f"a bundle has at most {MAX_BYTES} bytes when unpacked")
    if MANIFEST not in infos:
        raise BundleError("this is not a bundle: it has no manifest.json")
    odd = [name for name in infos if not _PLAIN.fullmatch(name)]
    if odd:
        raise BundleError(f"{odd[0]!r} is no name of a bundle's member")
    manifest = Manifest.from_json(_content(archive, infos[MANIFEST], MAX_MANIFEST))
    if set(manifest.members) != set(infos) - {MANIFEST}:
        raise BundleError("the bundle's members are not those that its manifest lists")
    members = {}
    for name, member in manifest.members.items():
        content = _content(archive, infos[name], member.size)
        if len(content) != member.size or hashlib.sha256(content).hexdigest() != member.sha256:
            raise BundleError(f"{name} in the bundle is damaged: its SHA-256 differs; copy it anew")
        members[name] = content
    wanted = {WEIGHTS, *(graph.member for graph in manifest.graphs.values())}
    if not wanted <= set(members):
        raise BundleError(f"the bundle lacks {sorted(wanted - set(members))[:4]}")
    if manifest.model != identity_of(members):
        raise BundleError("the bundle's graphs and weights are not those of its model id")
    return Bundle(manifest, members)


def identity_of(members: Mapping[str, bytes]) -> str:
    """Return the id of a model: a hash of its graphs and weights, hexadecimal."""
    identity = hashlib.sha256()
    for name in sorted(members):
        identity.update(hashlib.sha256(members[name]).digest())
    return identity.hexdigest()


def _content(archive: zipfile.ZipFile, info: zipfile.ZipInfo, most: int) -> bytes:
    """Return a member, and never more than one byte above `most`, whatever the file says."""
    try:
        with archive.open(info) as stream:
            content = stream.read(most + 1)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError) as error:
        raise BundleError(f"{info.filename} in the bundle cannot be read ({error})") from None
    if len(content) > most:
        raise BundleError(
            f"{info.filename} in the bundle is larger than the {most} bytes it may be"
        )
    return content


def member_of(content: bytes) -> Member:
    """Return what a manifest says of a member."""
    return Member(len(content), hashlib.sha256(content).hexdigest())


def packed_weights(weights: Mapping[str, NDArray[np.generic]]) -> bytes:
    """Return `weights.safetensors`."""
    return pack_arrays(weights)
