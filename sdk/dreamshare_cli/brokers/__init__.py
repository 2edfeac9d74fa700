"""Configurations of MQTT brokers for one federation: pure functions from a plan to files.

Rules:
- default deny: a party speaks under its own `up/` and `state`, hears its own `dn/` and `b/`; the
  aggregator does the reverse. Nobody subscribes at the root, to `$SYS` or to shared filters;
- who a client is follows from the CN of its certificate, and so does its client id;
- Mosquitto 2.0 is tested against hostile clients; the others follow their vendors' manuals, are
  kept as golden files, and say in their first lines that nobody has run them here.
"""
