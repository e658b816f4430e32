"""Streams: sockets, TLS and listeners, and what opening handshakes read from them."""
