"""HTTP/1.1 as far as a handshake needs it: heads, bodies, URLs, cookies."""
