"""Killed runs: the job's own driver in this process, ended between two steps of a retry."""

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field

from pipeline.config import ShardConfig
from pipeline.encoders.facts import EncoderFacts
from pipeline.jobs.inputs import check_inputs
from pipeline.jobs.preparation import PreparedJob
from pipeline.jobs.run import RunEnd, run_job
from pipeline.jobs.workshop import UnitResult, make_unit
from pipeline.planning.tasks import UnitTask
from pipeline.storage.holders import Hold
from pipeline.units.maker import UnitMaker

MakerOf = Callable[..., UnitMaker]
ENDLESS = 10**9
STEP = re.compile(r"manifest\.json|run/retry\.json|units/.*")  # what a retry goes through, step by step


class Killed(BaseException):
    """The end of a process, as far as a test can end one."""


@dataclass
class HoldUntil(Hold):
    """A hold on an output that ends a run before it writes or removes one file of a retry more.

    Args:
        steps: how many it may.
        taken: what these were: `delete manifest.json`.
    """

    steps: int = ENDLESS
    taken: list[str] = field(default_factory=list)
    killed: bool = False

    def check(self) -> None:
        caller = sys._getframe(1)  # the method of Folder that asks
        step = STEP.fullmatch(str(caller.f_locals.get("name")))
        self.killed |= bool(step) and len(self.taken) >= self.steps
        if self.killed:
            raise Killed
        if step:
            self.taken.append(f"{caller.f_code.co_name} {step[0]}")


@dataclass(frozen=True)
class HereWorkshop:
    """A workshop of one thread in this process."""

    maker_of: MakerOf
    encoders: EncoderFacts
    device: str = "cpu"

    def describe(self) -> str:
        return "here"

    def read_encoders(self) -> EncoderFacts:
        return self.encoders

    def make(self, job: PreparedJob, tasks: list[UnitTask], *, check: Callable[[], None]) -> Iterator[UnitResult]:
        maker = self.maker_of(job)
        return (make_unit(maker, task) for task in tasks)


def run_until(
    config: ShardConfig, workshop: HereWorkshop, *, steps: int = ENDLESS, draws_given: bool = True
) -> tuple[list[str], RunEnd | None]:
    """Run the shard job.

    Args:
        draws_given: whether the draws are those of the user.
        steps: how many steps of a retry it may take.

    Returns:
        The steps, and how the run ended; None: killed.
    """
    hold = HoldUntil(steps=steps)
    with suppress(Killed):
        checked = check_inputs(config)
        end = run_job(
            checked,
            hold=hold,
            open_workshop=lambda *_: nullcontext(workshop),
            come_back="--retry-drops",
            draws_given=draws_given,
        )
        return hold.taken, end
    return hold.taken, None
