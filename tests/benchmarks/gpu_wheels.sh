#!/usr/bin/env bash
# Collect the wheels that the GPU checks need on a machine without a package index: what is installed here, in the same
# versions, for Linux on x86-64. torch comes with the GPU machine.
#
#   tests/benchmarks/gpu_wheels.sh WHEELS [PYTHON_VERSION] [PRESENT]
#
# PYTHON_VERSION: of the GPU machine, default 3.12. PRESENT: a file of package names that it has already, one a line (the
# output of `pip freeze` there will do); they are left out. Set PYTHON to the interpreter of this project's venv.
set -euo pipefail
wheels=${1:?usage: gpu_wheels.sh WHEELS [PYTHON_VERSION] [PRESENT]}
version=${2:-3.12}
present=${3:-/dev/null}
python=${PYTHON:-.venv/bin/python}

platforms=()
for platform in manylinux1 manylinux2014 manylinux_2_{17,24,26,27,28,31,34}; do platforms+=(--platform "${platform}_x86_64"); done
mkdir -p "$wheels"
mapfile -t pins < <("$python" "$(dirname "$0")/gpu_pins.py" "$present")
[ ${#pins[@]} -gt 0 ] || { echo "gpu_wheels: no packages found; is PYTHON=$python this project's interpreter?" >&2; exit 1; }

sources=()
for pin in "${pins[@]}"; do
    "$python" -m pip download -q --disable-pip-version-check --no-deps --only-binary=:all: --implementation cp \
        --python-version "$version" "${platforms[@]}" -d "$wheels" "$pin" || sources+=("$pin")
done
# deepspeed comes as sources; without its extensions it runs on any Python.
for pin in "${sources[@]}"; do
    echo "gpu_wheels: $pin has no wheel, building one"
    DS_BUILD_OPS=0 "$python" -m pip wheel -q --disable-pip-version-check --no-deps \
        --no-build-isolation -w "$wheels" "$pin"
done
echo "$(find "$wheels" -name '*.whl' | wc -l) wheels, $(du -sh "$wheels" | cut -f1)"
