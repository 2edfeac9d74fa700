"""The only IO loop: it carries out what the machines order, on a device and on the aggregator.

Rules:
- effects are carried out in the order given; what must be durable is, before the next one is begun;
- a transfer is acknowledged when its frame has been handled, not when it arrived;
- it sees packets, frames and messages, neither algorithms nor learners: computing is a coroutine
  that the shell hands in.
"""
