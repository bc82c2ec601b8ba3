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
