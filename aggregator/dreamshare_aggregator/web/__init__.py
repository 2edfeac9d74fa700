"""The aggregator's page: what it does, live, in a browser, from the aggregator's own event loop."""
