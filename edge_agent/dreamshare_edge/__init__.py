"""The edge agent: a device that takes part in rounds, embedded in an application or as a service."""
