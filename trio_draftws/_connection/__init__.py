"""One open connection: what it is made of, and the scope that looks after it."""
