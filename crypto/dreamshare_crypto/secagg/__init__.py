"""The SA-2 machines of docs/protocol.md: sans-IO, with entropy and time handed in.

Where to read what:
    events                              inputs and effects of both machines
    messages, offer, *_messages         what travels, byte for byte (sections 6 and 7)
    schedule, masking, dealing, vault   keys, masks, shares, and secrets at rest (3, 6.5, 9.3)
    epoch_checks, round_checks          every row of section 10, one function each
    phases, joining, rounds, client     the device's states and steps (8)
    records, journal, restore, memory   what a device writes down and how it starts again (9)
    server_*, mailbox, reconstruction   the aggregator's stages and the sum (6.7, 7.3, 11)
"""
