"""Two protocol objects and a wire: whatever happens, in whatever order, the rules hold.

`python -m tests.drafts.protocol.chances 100000` goes on for as long as you like, by chance.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)

from trio_draftws.drafts import DRAFTS, draft_named

from .protocol.chances import NAMES, STEPS, TIMES, WIRES
from .protocol.life import ROUGH, Life, Step
from .protocol.sides import Times


def one_of_each(choices: dict[str, Any]) -> dict[str, st.SearchStrategy[Any]]:
    """Each name with one of its values."""
    return {name: st.sampled_from(values) for name, values in choices.items()}


class Machine(RuleBasedStateMachine):
    """Does one step after the other, in a life that is drawn first."""

    life: Life | None = None

    @initialize(
        name=st.sampled_from([draft.name for draft in DRAFTS]),
        times=st.builds(Times, **one_of_each(TIMES)),
        wire=st.fixed_dictionaries(one_of_each(WIRES)),
        rough=st.frozensets(st.sampled_from(ROUGH), max_size=2),
    )
    def open(self, name: str, times: Times, wire: dict[str, Any], rough: frozenset[str]) -> None:
        self.life = Life(draft_named(name), times, rough, **wire)

    @rule(step=st.sampled_from(NAMES).flatmap(lambda name: st.sampled_from(STEPS[name])))
    def do(self, step: Step) -> None:
        life, self.life = self.life, None
        assert life is not None
        life.do(step)
        # One that broke a promise does not end in order.
        self.life = life

    def teardown(self) -> None:
        if self.life is not None:
            self.life.finish()


# To make a failure short takes a while.
@pytest.mark.timeout(400)
def test_the_life_of_two_sides() -> None:
    """Longer than by default, as it takes a while until something happens in a life."""
    profile = settings.default
    assert profile is not None
    many = settings(
        profile,
        max_examples=3 * profile.max_examples,
        stateful_step_count=60,
        report_multiple_bugs=False,
        phases=[Phase.reuse, Phase.generate, Phase.shrink],
    )
    run_state_machine_as_test(Machine, settings=many)
