"""The opening handshakes of all drafts."""
