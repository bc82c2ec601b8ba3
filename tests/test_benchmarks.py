"""The benchmarks measure what they say, as far as that shows without a GPU and in seconds."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.benchmarks import sampling
from tests.benchmarks.encoders import compare_precisions
from tests.benchmarks.install_wheels import missing_packages
from tests.benchmarks.machine import peak_tflops
from tests.benchmarks.step import Bench, Case, compare, report
from tests.benchmarks.step_models import SIZES, MasterAdamW, Trained, count_flops, random_batch

ON_GPU = Path(__file__).parent / "benchmarks" / "on_gpu.sh"

# A stand-in for the interpreter: each check ends in another way, the script's own Python runs as it is.
STAND_IN = f"""#!/usr/bin/env bash
case "$*" in
*install_wheels.py*) echo installed ;;
*benchmarks.machine*) echo '{{"device": "stand-in"}}' >"${{@: -1}}" ;;
*"-m pytest"*) echo "1 failed"; exit 1 ;;
*benchmarks.encoders*) echo encoding; exec sleep 60 ;;
*) exec {sys.executable} "$@" ;;
esac
"""


def _run_on_gpu(tmp_path: Path, **environment: str) -> tuple[int, dict[str, Any]]:
    out = tmp_path / "out"
    command = ["bash", str(ON_GPU), str(tmp_path), str(tmp_path / "data"), str(out)]
    code = subprocess.run(command, env={**os.environ, **environment}, stdout=subprocess.DEVNULL).returncode
    return code, json.loads((out / "summary.json").read_text())


@pytest.mark.processes
@pytest.mark.skipif(torch.cuda.is_available(), reason="would run every GPU check")
def test_without_a_gpu_every_check_is_skipped_with_its_reason(tmp_path: Path) -> None:
    code, summary = _run_on_gpu(tmp_path, PYTHON=sys.executable)
    assert code == 77
    install, *checks = summary["checks"]
    assert install["status"] == "passed"
    assert [check["check"] for check in checks] == ["machine", "tests", "encoders", "train", "sampling", "step"]
    assert {(check["status"], check["reason"]) for check in checks} == {("skipped", "no CUDA")}


@pytest.mark.processes
def test_a_failed_or_hanging_check_stops_no_other_and_the_budget_holds(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(STAND_IN)
    python.chmod(0o755)
    code, summary = _run_on_gpu(tmp_path, PYTHON=str(python), BUDGET="8")
    assert code == 1
    assert summary["failed"] == ["tests", "encoders"]
    assert summary["machine"] == {"device": "stand-in"}
    assert summary["seconds"] <= 15
    status = {check["check"]: (check["status"], check["reason"]) for check in summary["checks"]}
    assert status["tests"] == ("failed", "1 failed")
    assert status["encoders"][0] == "timed out" and status["encoders"][1].endswith("encoding")
    assert status["train"][0] == "skipped"
    assert status["step"] == ("skipped", "no time left")


@pytest.mark.processes
@pytest.mark.skipif(not shutil.which("shellcheck"), reason="needs shellcheck")
def test_scripts_pass_shellcheck() -> None:
    subprocess.run(["shellcheck", *map(str, ON_GPU.parent.glob("*.sh"))], check=True)


def test_only_wheels_of_missing_packages_are_installed(tmp_path: Path) -> None:
    for name in ("numpy-9.9-py3-none-any", "no_such_thing-1.0-py3-none-any", "no_such_thing-1.1-py3-none-any"):
        (tmp_path / f"{name}.whl").touch()
    assert missing_packages(tmp_path) == ["no_such_thing==1.1"]


def test_sampling_is_compared_with_diffusers_on_the_same_latents() -> None:
    bench = sampling.Bench(SIZES["tiny"], device="cpu", steps=2)  # one pair of steps
    row = bench.measure(sampling.Case(2), rounds=1)
    assert row.largest_difference < 1e-3
    assert min(row.ours, row.diffusers) > 0 and row.ratio == pytest.approx(row.diffusers / row.ours)
    assert row.lowest == row.ratio == row.highest


def test_a_call_of_the_full_size_saves_the_known_share_of_flops() -> None:
    assert sampling.flops_ratio(SIZES["sd-v1"]) == pytest.approx(1.061, abs=0.001)


def test_two_loops_take_their_steps_in_turns_and_a_failure_of_one_ends_both() -> None:
    order: list[str] = []

    def loop(name: str, steps: int) -> sampling.Run:
        def run(on_step: sampling.OnStep) -> torch.Tensor:
            for _ in range(steps):
                order.append(name)
                on_step()
            if steps < 3:
                raise OSError(name)
            return torch.zeros(())

        return run

    seconds = sampling.in_turns([loop("a", 3), loop("b", 3)], first=1, device="cpu")
    assert order == ["b", "a"] * 3
    assert [len(each) for each in seconds] == [2, 2]
    with pytest.raises(OSError, match="b"):
        sampling.in_turns([loop("a", 3), loop("b", 1)], first=0, device="cpu")


def test_flops_of_the_full_size_are_the_known_ones() -> None:
    flops = count_flops(SIZES["sd-v1"])
    assert flops["stock"] == pytest.approx(2.39e12, rel=0.01)
    assert flops["online"] - flops["ours"] == pytest.approx(2.40e12, rel=0.01)
    assert 0.95 < flops["ours"] / flops["stock"] < 1
    assert flops["live exemplars"] / flops["ours"] == pytest.approx(1.070, abs=0.002)  # goal: at most 1.08


@pytest.mark.parametrize(
    ("name", "peak"),
    [
        ("NVIDIA H100 80GB HBM3", 989),
        ("NVIDIA H100 PCIe", 756),
        ("NVIDIA H200", 989),
        ("NVIDIA A100-SXM4-80GB", 312),
        ("AMD EPYC", None),
    ],
)
def test_peaks_are_found_by_device_name(name: str, peak: float | None) -> None:
    assert peak_tflops(name) == peak


def test_ours_and_stock_train_the_same_parameters_alike() -> None:
    trained = Trained(SIZES["tiny"], device="cpu", dtype=torch.float32)
    batch = random_batch(SIZES["tiny"], 2, device="cpu", seed=0)
    trained.backward(batch)
    ours = {id(p): p.grad.clone() for p in trained.parameters() if p.grad is not None}
    for parameter in trained.parameters():
        parameter.grad = None
    trained.backward(batch, stock=True)
    stock = {id(p): p.grad for p in trained.parameters() if p.grad is not None}
    assert ours.keys() < stock.keys()  # the query path
    for key, gradient in ours.items():
        torch.testing.assert_close(stock[key], gradient, atol=1e-5, rtol=1e-4)


def test_half_precision_weights_follow_their_masters_in_any_memory_order() -> None:
    torch.manual_seed(0)
    exact = torch.nn.Conv2d(4, 8, 3)
    half = torch.nn.Conv2d(4, 8, 3).to(torch.bfloat16)
    half.load_state_dict(exact.state_dict())
    masters, reference = MasterAdamW(half.parameters()), MasterAdamW(exact.parameters())
    for master, parameter in zip(masters.masters, exact.parameters(), strict=True):
        master.copy_(parameter)
    half.to(memory_format=torch.channels_last)
    for _ in range(3):
        for low, parameter in zip(half.parameters(), exact.parameters(), strict=True):
            low.grad = torch.randn_like(low)
            parameter.grad = low.grad.float()
        masters.step()
        reference.step()
    for master, low, parameter in zip(masters.masters, half.parameters(), exact.parameters(), strict=True):
        torch.testing.assert_close(master, parameter.detach())
        assert torch.equal(low, master.to(torch.bfloat16))


def test_a_case_is_measured_and_compared() -> None:
    bench = Bench(SIZES["tiny"], device="cpu", rounds=1)
    rows = bench.measure(Case(("ours", "online", "stock"), 1, channels_last=False))
    assert all(row.images_per_s and row.utilisation is None and not row.note for row in rows)
    assert [ratio["against"] for ratio in compare(rows)] == ["online", "stock"]
    json.dumps(report(bench, rows, machine={}, size="tiny"))


def test_encoders_in_half_precision_stay_close() -> None:
    rows = compare_precisions(SIZES["tiny"], device="cpu")
    assert all(row["passed"] for row in rows), rows
    assert rows[0]["latents"] == rows[0]["vectors"] == 0
