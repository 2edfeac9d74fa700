"""SA-2, version 1, a second time: slow, obvious, written from docs/protocol.md alone.

- Nothing here imports a package of Dreamshare, numpy or a cryptographic library: the standard
  library's hashes and integers are all there is. A test holds it to that.
- It computes what honest parties compute and refuses nothing. What must be refused is listed in
  tests/vectors/sa2-v1/refused*.json.
- It is not constant-time and must never hold a real key: it makes and checks test vectors.
- Names follow the text: `ho`, `rd`, `sid`, `A_r`, `U_r`, `rctx`.

Read in this order: values, curve, ciphers, suites, certificates, finder, graph, lanes, messages,
device, aggregator. docs/implementers.md is the page beside it.
"""
