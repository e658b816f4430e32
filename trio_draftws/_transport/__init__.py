"""Sockets and TLS, spoken to without asking the scheduler first."""
