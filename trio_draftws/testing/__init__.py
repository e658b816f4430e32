"""What programs that use `trio_draftws` need to test themselves.

Nothing here looks at a clock or at chance: what is to go wrong is said beforehand, in bytes.
"""

from ._faulty_stream import Faults, FaultyStream

__all__ = ["Faults", "FaultyStream"]
