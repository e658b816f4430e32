"""The server: listening, admitting, the handshake, and running handlers."""
