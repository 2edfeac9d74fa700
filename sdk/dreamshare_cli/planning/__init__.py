"""`dreamshare plan`: unit costs of this machine, and what a larger fleet takes by them."""
