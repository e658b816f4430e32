"""Attacks on a connection and faults of a peer: what ATTACKS lists, each with its tests."""
