"""The life of a connection: what a peer or a handler that does little can do to it, and may not.

Each test has the default settings where it names none, looks at the public face alone, and
measures the mocked clock.
"""
