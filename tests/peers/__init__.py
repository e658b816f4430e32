"""Real WebSocket libraries and a browser of 2010, for tests/test_peers.py."""
