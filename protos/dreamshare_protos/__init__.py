"""The wire format of Dreamshare, made by `scripts/protos`; only `dreamshare.wire` imports it."""
