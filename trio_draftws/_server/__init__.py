"""The server: listens, admits clients, opens connections and runs handlers."""
