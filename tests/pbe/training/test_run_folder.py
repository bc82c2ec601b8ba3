"""What a training's folder holds already, and whether a training may go on there."""

from dataclasses import replace

import pytest

from pbe.training.config import PRESETS, lasting
from pbe.training.run_folder import refuse_changes
from pipeline.errors import InputError

BEGUN = lasting(PRESETS["tiny"])


@pytest.mark.parametrize("field", BEGUN)
def test_a_checkpoint_that_lacks_a_field_has_that_fields_default(field: str) -> None:
    older = {name: value for name, value in BEGUN.items() if name != field}
    refuse_changes(PRESETS["tiny"], older)
    with pytest.raises(InputError, match="seed 0 -> 6"):
        refuse_changes(replace(PRESETS["tiny"], seed=6), older)


def test_where_the_learning_rate_falls_to_the_last_step_that_step_stays_and_elsewhere_not() -> None:
    constant, cosine = PRESETS["tiny"], replace(PRESETS["tiny"], lr_schedule="cosine")
    refuse_changes(replace(constant, steps=70), lasting(constant))
    refuse_changes(cosine, lasting(cosine))
    with pytest.raises(InputError, match=r"\(steps 60 -> 70\)"):
        refuse_changes(replace(cosine, steps=70), lasting(cosine))
    for now, then in ((cosine, constant), (constant, cosine)):
        with pytest.raises(InputError, match=rf"\(lr_schedule {then.lr_schedule} -> {now.lr_schedule}\)"):
            refuse_changes(replace(now, steps=70), lasting(then))
