"""Version 1 of the wire format: the `.proto` files and what protoc makes of them."""
