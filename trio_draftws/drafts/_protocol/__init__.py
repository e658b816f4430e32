"""The life of one connection, between codec and channel: states, deadlines and ends."""
