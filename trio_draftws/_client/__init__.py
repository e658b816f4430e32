"""The client: which draft, how to dial, the handshake, and reconnecting."""
