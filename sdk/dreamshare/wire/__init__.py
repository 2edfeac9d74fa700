"""Bytes on the wire: the only package that knows protobuf."""
