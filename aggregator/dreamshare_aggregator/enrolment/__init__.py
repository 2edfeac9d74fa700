"""Enrolment at the aggregator: it relays and queues requests, and certifies nobody.

Rules: the authority's key is never here (docs/protocol.md 1.1); what it decides comes from an
`Office` beside a development federation, or as a file from an authority that is offline.
"""
