"""Two connections joined, and the gateway made of that."""
