"""For the tests of a connection's life: sides, a wire, what may happen, and what must hold."""
