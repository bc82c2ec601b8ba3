#!/usr/bin/env bash
# Run every GPU check of the project in under 9 minutes, offline -> JSON files and one log in OUT.
#
#   tests/benchmarks/on_gpu.sh WHEELS DATA OUT
#
# WHEELS: a folder of wheels, see gpu_wheels.sh; those whose package is missing here are installed into a venv that sees
# this machine's packages. DATA: a dataset of the shard job, for the training. PYTHON: the interpreter, default python3.
# BUDGET: seconds for everything, default 530.
#
# OUT gets eight files at most. OUT/summary.json has the machine, and the status of each check: passed, failed, timed out or skipped, with the reason. A check that
# fails stops no other. Exit code: 0 all passed or skipped, 1 some failed, 77 nothing ran (no GPU).
set -uo pipefail
[ $# -eq 3 ] || { echo "usage: on_gpu.sh WHEELS DATA OUT" >&2; exit 2; }
root=$(cd "$(dirname "$0")/../.." && pwd)
mkdir -p "$3" || exit 2
wheels=$(realpath "$1") data=$2 out=$(realpath "$3")
[ ! -e "$data" ] || data=$(realpath "$data") # a URL stays one
python=${PYTHON:-python3}
budget=${BUDGET:-530}
scratch=$(mktemp -d) || exit 2
trap 'rm -rf "$scratch"' EXIT
SECONDS=0
export PYTHONPATH=$root HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1 NO_ALBUMENTATIONS_UPDATE=1 PYTHONUNBUFFERED=1
export TOKENIZERS_PARALLELISM=false TORCHINDUCTOR_CACHE_DIR=$scratch/inductor
cd "$root" || exit 2
: >"$scratch/checks.tsv"
rm -f "$out"/{summary,encoders,sampling,profile,step}.json "$out"/{profile.png,train_metrics.jsonl,log.txt} # of an earlier call

record() { # NAME STATUS SECONDS EXIT REASON
    printf '%s\t%s\t%s\t%s\t%s\n' "$@" >>"$scratch/checks.tsv"
    printf '%-9s %-9s %3s s  %s\n' "$1" "$2" "$3" "$5"
}

left() { echo $((budget - SECONDS)); }

# Run a command under a time limit, cut to what the budget leaves; its output goes to the log.
check() { # NAME LIMIT_SECONDS COMMAND...
    local name=$1 limit=$2 began=$SECONDS code status reason
    shift 2
    [ "$limit" -le "$(left)" ] || limit=$(left)
    if [ "$limit" -lt 5 ]; then
        record "$name" skipped 0 "" "no time left"
        return
    fi
    timeout --kill-after=5 "$limit" "$@" >"$scratch/log" 2>&1
    code=$?
    { echo "== $name: $*"; cat "$scratch/log"; } >>"$out/log.txt"
    reason=$(grep -v '^[[:space:]]*$' "$scratch/log" | tail -1 | tr '\t' ' ' | cut -c1-200)
    case $code in
    0) status=passed ;;
    77) status=skipped reason=${reason#skipped: } ;;
    124 | 137) status="timed out" reason="after $limit s: $reason" ;;
    *) status=failed ;;
    esac
    record "$name" "$status" $((SECONDS - began)) "$code" "$reason"
    [ "$status" = passed ]
}

skip() { # NAME REASON
    record "$1" skipped 0 "" "$2"
}

run_checks() {
    local run=$scratch/venv/bin/python gpu_tests training time_for_step
    check install 60 "$python" tests/benchmarks/install_wheels.py "$wheels" "$scratch/venv"
    [ -x "$run" ] || run=$python

    if ! check machine 60 "$run" -m tests.benchmarks.machine "$scratch/machine.json"; then
        for name in tests encoders train resume sampling profile step; do skip "$name" "$(tail -1 "$scratch/checks.tsv" | cut -f5)"; done
        return
    fi

    mapfile -t gpu_tests < <(grep -rl --include='test_*.py' 'mark\.gpu' tests)
    check tests 120 "$run" -m pytest -m gpu -v -p no:cacheprovider "${gpu_tests[@]}"

    check encoders 60 "$run" -m tests.benchmarks.encoders --json "$out/encoders.json"

    if [[ $data != *://* && ! -e $data/manifest.json ]]; then
        for name in train resume; do skip "$name" "DATA has no manifest.json: give a dataset of the shard job"; done
    else
        training=(smoke --data "$data" --out "$scratch/train" --dtype bf16 --zero-stage 2 --micro-batch 1)
        check train 80 "$run" pbe/train.py "${training[@]}" --steps 12
        check resume 50 "$run" pbe/train.py "${training[@]}" --steps 14
        cp "$scratch/train/metrics.jsonl" "$out/train_metrics.jsonl" 2>/dev/null
    fi

    check sampling 150 "$run" -m tests.benchmarks.sampling --json "$out/sampling.json" --seconds 110

    check profile 90 "$run" -m tests.benchmarks.profile_step "$out"

    # Last, with all the time that is left: it begins no case that would end too late.
    time_for_step=$(left)
    check step "$time_for_step" "$run" -m tests.benchmarks.step --json "$out/step.json" --seconds $((time_for_step - 20))
}

summarise() {
    "$python" - "$scratch" "$out" "$SECONDS" <<'EOF'
import json, pathlib, sys

scratch, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
names = ("check", "status", "seconds", "exit_code", "reason")
checks = [dict(zip(names, line.split("\t"))) for line in (scratch / "checks.tsv").read_text().splitlines()]
for check in checks:
    check["seconds"] = int(check["seconds"])
    check["exit_code"] = int(check["exit_code"]) if check["exit_code"] else None
described = scratch / "machine.json"
machine = json.loads(described.read_text()) if described.exists() else None
failed = [check["check"] for check in checks if check["status"] in ("failed", "timed out")]
ran = [check for check in checks if check["check"] not in ("install", "machine") and check["status"] != "skipped"]
summary = {"machine": machine, "seconds": int(sys.argv[3]), "failed": failed, "checks": checks}
(out / "summary.json").write_text(json.dumps(summary, indent=1) + "\n")
sys.exit(1 if failed else 0 if ran else 77)
EOF
}

run_checks
summarise
code=$?
echo "$SECONDS s; see $out/summary.json and $out/log.txt"
exit $code
