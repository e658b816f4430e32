"""What lives are drawn from: settings, wires, steps; and lives by chance, many in a second."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from itertools import product
from random import Random
from typing import Any

from tests.drafts.helpers import ROLES
from trio_draftws.drafts import DRAFTS

from .life import ROUGH, Life, Step
from .sides import Times

TIMES: dict[str, Sequence[float]] = {
    "close_timeout": (5, 0.5, 4.7),
    "idle_timeout": (3600, math.inf, 12.3, 3600, 1.5),
    "ping_interval": (20, 0.5, 7.7, math.inf),
    "ping_timeout": (20, 1, 0.3),
    "write_timeout": (60, 3, math.inf),
}
WIRES: dict[str, Sequence[float]] = {
    # 12.3 + 20 - 12.3 is less than 20.
    "now": (0, 12.3, 1e9 + 0.1),
    "room": (math.inf, 40, 4000),
    "window": (math.inf, 300),
    "enough": (math.inf, 100),
    "short": (False, True),
    "lags": (False, True),
}
_ARGUMENTS: dict[str, Sequence[Sequence[str | float]]] = {
    "send": (ROLES, (1, 5, 30, 1000, 20_000), (False, True)),
    "send_many": (ROLES,),
    "send_part": (ROLES, (1, 30, 3000), (False, True)),
    "receive": (ROLES,),
    "receive_part": (ROLES,),
    "skip": (ROLES,),
    "receive_many": (ROLES,),
    "send_close": (ROLES,),
    "aclose": (ROLES,),
    "ping": (ROLES, (False, True)),
    "forget_ping": (ROLES,),
    "send_pings": (ROLES, (1, 3, 40)),
    "hold": (ROLES,),
    "release": (ROLES,),
    "give_up": (ROLES,),
    "deliver": (ROLES, (1, 3, 100, 10**6)),
    "deliver_all": (),
    "acknowledge": (ROLES,),
    "transmit": (ROLES,),
    "part": (),
    "reset": (),
    "fail": (ROLES,),
    "stop": (ROLES, ("silence", "end")),
    "violate": (ROLES,),
    "found_alone": (ROLES,),
    "hang_up": (ROLES,),
    "ask": (ROLES,),
    "wait": ((0.01, 0.3, 1, 2.5, 20, 70),),
    "wait_until_due": (ROLES, (-math.inf, 0, math.inf)),
    "stand_still": ((0.3, 5, 100), (0, 1, 10**6)),
}
#: How often a step comes up: a step counts as often as its weight says, whatever its arguments.
_WEIGHTS = {
    "receive": 4,
    "deliver": 3,
    "deliver_all": 3,
    "wait_until_due": 3,
    "send": 3,
    "send_part": 2,
    "receive_part": 2,
    "skip": 2,
    "wait": 2,
    "found_alone": 2,
    "ping": 2,
    "aclose": 2,
    "give_up": 2,
}
STEPS: dict[str, list[Step]] = {
    name: [(name, *arguments) for arguments in product(*choices)]
    for name, choices in _ARGUMENTS.items()
}
NAMES = [name for name in STEPS for _ in range(_WEIGHTS.get(name, 1))]


def walk(seed: int, steps: int = 80) -> None:
    """One life by chance, the same for the same seed."""
    random = Random(seed)
    choice = random.choice
    times = Times(**{name: choice(values) for name, values in TIMES.items()})
    wire: dict[str, Any] = {name: choice(values) for name, values in WIRES.items()}
    rough = frozenset(random.sample(ROUGH, choice((0, 1, 1, 2))))
    life = Life(choice(DRAFTS), times, rough, **wire)
    for _ in range(steps):
        life.do(choice(STEPS[choice(NAMES)]))
    life.finish()


if __name__ == "__main__":
    for seed in range(int(sys.argv[1])):
        try:
            walk(seed)
        except Exception:
            print(f"life {seed}:", file=sys.stderr)
            raise
