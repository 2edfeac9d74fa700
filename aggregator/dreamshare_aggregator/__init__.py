"""The aggregator: it opens rounds, sums masked answers and never sees one of them."""
