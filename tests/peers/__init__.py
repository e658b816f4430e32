"""Real WebSocket libraries, of 2010 to today, and a browser of 2010, for tests/test_peers.py."""
