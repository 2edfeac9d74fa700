"""What a decoder takes, in bytes and counts; looked at before anything is copied or built.

Rules:
- a limit is generous for every message that the protocol can make (the largest: a masked vector or
  a plan's tensors) and small for everything else;
- encoders keep the same limits, so that whatever one end sends the other takes.
"""

from __future__ import annotations

KIB = 1024
MIB = 1024 * KIB

FRAME_LIMIT = 128 * MIB
"""Largest frame: header, signature, body. Ends may agree on less in their greeting."""

REQUEST_LIMIT = 2 * MIB
"""Largest frame of an operator or viewer: a config, and little besides."""

WANTED_LEAST = MIB
"""Frame of a device that is kept whatever its tasks need."""

BODY_LIMIT = FRAME_LIMIT - KIB
"""Largest body of a frame, sealed or not."""

HEADER_BYTES = 128
"""docs/protocol.md 14.1."""

SIGNATURE_BYTES = 64
"""Ed25519."""

CERTIFICATE_BYTES = 218
"""docs/protocol.md 5.1."""

ID_BYTES = 16
"""A task, a device."""

HASH_BYTES = 32
"""SHA-256."""

NAME_LIMIT = 256
"""UTF-8 bytes of a name, label, step, algorithm id, event or outcome."""

TEXT_LIMIT = 16 * KIB
"""UTF-8 bytes of a text for people."""

CONFIG_LIMIT = MIB
"""An algorithm's canonical JSON."""

OPENING_LIMIT = MIB
"""The canonical bytes of RoundStart: 0.3 kB and 22 bytes a field."""

PARTS_LIMIT = 512 * KIB
"""Fields of a message at any depth: a list of 10,000 tasks has some 200,000."""

TENSORS_LIMIT = 4096
"""Tensors of a plan."""

FIELDS_LIMIT = 4096
"""Fields of an answer."""

DIMENSIONS_LIMIT = 8
"""Dimensions of a tensor or a field."""

VALUES_LIMIT = FRAME_LIMIT
"""Elements of a tensor or a field: one byte each at least."""

ALGORITHMS_LIMIT = 256
"""Algorithms that a device offers."""

ATTRIBUTES_LIMIT = 64
"""Public attributes of a device."""

STRATA_LIMIT = 64
"""Strata of a cohort."""

METRICS_LIMIT = 1024
"""Public scalars of a report."""

TRANSFERS_LIMIT = 2**62
"""Highest number of a first transfer; counting on from there must not leave 64 bits."""

REPORTS_LIMIT = 2**62
"""Highest number of a report that is asked about; databases count in 63 bits."""

HISTORY_LIMIT = 1000
"""Rounds in a page of a task's history."""

TASKS_LIMIT = 10_000
"""Tasks in a list."""

DEVICES_LIMIT = 10_000
"""Devices in a list."""

PACKET_LEAST = 4 * KIB
"""No end may ask for packets smaller than this: a greeting has to fit."""

PACKET_MOST = MIB
"""No packet is larger than this, whatever both ends would take."""

CHUNK_OVERHEAD = 64
"""Bytes of a packet around the data of a chunk, at most (five varints, tags and lengths)."""

WINDOW = 8 * MIB
"""Unacknowledged bytes after which a sender begins no further frame, unless the peer says less."""

ENROL_UP_LIMIT = 8 * KIB
"""What a party without a certificate may say: a request has 400 bytes and a PKCS#10."""

ENROL_DOWN_LIMIT = 2 * MIB
"""What it may be told: certificates of 256 aggregators and 65,536 revoked serials."""

LINKS_LIMIT = 16
"""Addresses that a welcome names."""

PARCEL_LIMIT = 64 * MIB
"""A file between aggregator and authority."""

PARCEL_ITEMS_LIMIT = 10_000
"""Requests, or decisions, in such a file."""

FRAMES_WAITING = 4096
"""Frames queued for one peer, after which it is taken to read too slowly."""
