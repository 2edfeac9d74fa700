"""The edge agent: a device that takes part in rounds, in an application or as a service."""
