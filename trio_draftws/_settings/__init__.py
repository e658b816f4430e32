"""Settings: their values by default, their checks, and the framing mode."""
