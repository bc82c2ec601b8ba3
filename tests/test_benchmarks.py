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
from tests.benchmarks.install_wheels import missing_packages
from tests.benchmarks.machine import peak_tflops
from tests.benchmarks.profile_step import Part
from tests.benchmarks.step_models import SIZES, count_flops, count_work
from tests.pbe.training.rank_group import RankGroup

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
    names = "machine tests encoders train resume sampling profile step"
    assert [check["check"] for check in checks] == names.split()
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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.processes
def test_a_case_is_measured_and_compared(tmp_path: Path) -> None:
    command = ["tests.benchmarks.step", "--size", "tiny", "--rounds", "1", "--device", "cpu", "--json"]
    arguments = [*command, str(tmp_path / "step.json")]
    with RankGroup(tmp_path / "log", "tests.pbe.training.preloaded.run_module", arguments, world=1) as group:
        assert group.wait() == [0], (tmp_path / "log").read_text()
    report = json.loads((tmp_path / "step.json").read_text())
    assert [row["variant"] for row in report["rows"]] == ["ours", "online", "live exemplars", "stock"]
    assert all(row["images_per_s"] > 0 and 0 <= row["data_wait"] < 1 and not row["note"] for row in report["rows"])
    assert [ratio["against"] for ratio in report["ratios"]] == ["online", "live exemplars", "stock"]


@pytest.mark.slow
@pytest.mark.processes
def test_a_profile_has_the_parts_of_a_step_and_its_picture(tmp_path: Path) -> None:
    command = ["tests.benchmarks.profile_step", str(tmp_path), "--size", "tiny", "--steps", "2", "--device", "cpu"]
    with RankGroup(tmp_path / "log", "tests.pbe.training.preloaded.run_module", command, world=1) as group:
        assert group.wait() == [0], (tmp_path / "log").read_text()
    profile = json.loads((tmp_path / "profile.json").read_text())
    calls = {part["name"]: part["calls"] for part in profile["parts"]}
    convolutions = [name for name in count_work(SIZES["tiny"]).calls if name.startswith("unet") and "conv" in name]
    assert len(convolutions) <= calls["aten::convolution_backward"] <= 2 * len(convolutions)
    assert profile["kinds"]["optimiser"] > 0 and profile["seconds"] > 0
    assert (tmp_path / "profile.png").stat().st_size > 5000


@pytest.mark.parametrize(
    ("kernel", "kind"),
    [
        ("sm90_xmma_fprop_implicit_gemm_bf16bf16_bf16f32_f32_nhwckrsc_nhwc", "convolutions"),
        ("void cudnn::ops::nchwToNhwcKernel<__nv_bfloat16>", "layout and copies"),
        ("nvjet_hsh_128x256_64x4_1x2_h_bz_coopA_TNN", "matrix products"),
        ("pytorch_flash::flash_fwd_kernel<Flash_fwd_kernel_traits<64>>", "attention"),
        ("void at::native::multi_tensor_apply_kernel<FusedAdamMathFunctor>", "optimiser"),
        ("void at::native::vectorized_elementwise_kernel<4, AddFunctor>", "elementwise, sums, others"),
        ("aten::native_group_norm_backward", "normalisation"),
    ],
)
def test_kernels_are_sorted_by_kind(kernel: str, kind: str) -> None:
    assert Part(kernel, 1.0, 1.0).kind == kind


@pytest.mark.heavy
def test_a_step_computes_nothing_twice() -> None:
    work = count_work(SIZES["sd-v1"])
    assert set(work.calls.values()) == {0, 1}
    crossed = {name.split(".attn2.")[1] for name, calls in work.calls.items() if ".attn2." in name and calls}
    assert crossed == {"to_v", "to_out.0"}
    forward, backward = sum(work.forward.values()), sum(work.backward.values())
    assert 1.999 * forward < backward <= 2 * forward


@pytest.mark.heavy
def test_what_checkpointing_computes_anew_is_counted() -> None:
    plain, anew = (count_work(SIZES["tiny"], checkpointing=checkpointing) for checkpointing in (False, True))
    assert set(anew.calls.values()) == {0, 1, 2} and anew.forward == plain.forward
    assert 0 < anew.total - plain.total < sum(plain.forward.values())
