"""Bytes: the only room that knows protobuf.

`codec` turns messages and frames into bytes, `link` the packets of a connection, `transfer` cuts
frames into chunks and puts them together again.
"""
