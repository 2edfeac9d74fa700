"""Secure aggregation for Dreamshare: the primitives, and the SA-2 machines built on them.

Rules:
- this room imports nothing else of ours: an auditor reads it alone, next to docs/protocol.md;
- randomness is an injected `Entropy` and time an argument; no clock, socket or thread is here;
- verification raises; decoders raise `MalformedError` and nothing else;
- secrets are `Secret` or key objects, whose repr shows kind and length only.

Not done here: the transport, the journal file, and the meaning of what is summed.
"""
