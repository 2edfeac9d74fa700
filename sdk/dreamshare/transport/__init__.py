"""Ways to move opaque packets between two authenticated ends."""
