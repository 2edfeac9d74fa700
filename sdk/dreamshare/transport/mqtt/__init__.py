"""MQTT 5: the same links over a broker that nobody has to trust (docs/protocol.md 17.31).

Rules:
- nothing imports this package before MQTT is wanted; `aiomqtt` is imported by `client` and
  `session` alone;
- a broker is an adversary: what it says about who sent a message is a hint, and what it keeps for
  an absent party is never relied upon.
"""
