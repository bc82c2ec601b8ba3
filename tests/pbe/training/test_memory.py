import json
from pathlib import Path
from typing import Any

import pytest

from pbe.training.memory import state_memory
from tests.pbe.training.rank_group import RankGroup
from tests.pbe.training.small_runs import flags
from tests.synthetic import write_synthetic

pytestmark = [pytest.mark.processes, pytest.mark.xdist_group("trainings")]


def test_memory_by_formula_is_what_a_rank_holds(tmp_path: Path) -> None:
    write_synthetic(tmp_path / "data", [[9, 5, 14, 7]], side=8, dimension=16)
    arguments = [flags(tmp_path, "memory"), str(tmp_path)]
    with RankGroup(tmp_path / "log", "tests.pbe.training.preloaded.measure_memory", arguments, world=2) as group:
        assert group.wait() == [0, 0]
    for rank in range(2):
        measured: dict[str, Any] = json.loads((tmp_path / f"rank{rank}.json").read_text())
        counts = measured.pop("parameters")
        for kind, found in measured.items():
            stage, dtype = kind.split()
            memory = state_memory(live=counts[0], dead=counts[1], dtype=dtype, stage=int(stage), ranks=2, ema=True)
            expected = [memory.weights, memory.gradients, memory.optimizer, memory.ema]
            assert found == pytest.approx(expected, rel=0.03), kind
