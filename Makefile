# Everything a person types. Each target first brings .venv up to date by itself.
#
#   make demo         trade a synthetic session, leave var/demo/report.html
#   make test         C++ and Python tests; needs nothing outside the clone
#   make lint         every tool of STYLE
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

BIN := .venv/bin
JOBS ?= $(shell nproc)
# Empty, or address,undefined, or thread: make test-core SANITIZE=thread
SANITIZE ?=
# Empty, or the id of one promise to break: make test-core MUTANT=P11
MUTANT ?=
GM_DATA ?= ../shared/data
# ON: warnings are errors, as in lint. CI sets it, so that lint and tests share one build.
GM_STRICT ?= OFF
# More arguments for pytest: make test PYTEST="-k layout -x"
PYTEST ?=
# A test file stays in one process: its fixtures are made once.
SPREAD := -n $(JOBS) --dist loadfile

comma := ,
CORE := build/core$(if $(SANITIZE),-$(firstword $(subst $(comma), ,$(SANITIZE))))$(if $(MUTANT),-$(MUTANT))
CMAKE := $(BIN)/cmake -G Ninja -DCMAKE_MAKE_PROGRAM=$(CURDIR)/$(BIN)/ninja
INSTALLED := .venv/.installed

.PHONY: help setup native demo test core test-core test-data test-train mutants kill-campaign \
        journal-campaign submit-campaign gate-campaign same-bytes simulate simulate-smoke mappo-btc \
        fuzz fuzz-campaign model model-campaign soak soak-smoke lint format bench bench-peers \
        bench-smoke wheel lock clean

help:
	@sed -n '2,$$s/^#  //p' Makefile
	@echo "  also: setup native test-core test-data test-train mutants kill-campaign journal-campaign"
	@echo "        submit-campaign gate-campaign same-bytes simulate simulate-smoke fuzz fuzz-campaign"
	@echo "        model model-campaign soak soak-smoke format bench bench-peers bench-smoke wheel"
	@echo "        lock clean"

setup: $(INSTALLED)

$(INSTALLED): requirements.lock .ci/setup
	.ci/setup

# The Cython modules and the gm command, editable: Python edits are live, this makes C++ edits so.
# One at a time: two builds in one folder break each other. MODULE=features builds that one alone,
# after a first `make native`.
native: $(INSTALLED)
	@mkdir -p build
ifdef MODULE
	@flock build/native.lock $(BIN)/ninja -C build/core $(MODULE)
	cp --remove-destination build/core/$(MODULE).*.so $$($(BIN)/python -c 'import sysconfig as s; \
	    print(s.get_path("platlib"))')/gm/_native/
else
	@[ -d build/core ] || echo "Building the native modules: some minutes the first time"
	@PATH="$(CURDIR)/$(BIN):$$PATH" flock build/native.lock \
	    $(BIN)/pip install -q --disable-pip-version-check --no-build-isolation --no-deps \
	    --config-settings cmake.define.GM_STRICT=$(GM_STRICT) -e .
endif

demo: native
	$(BIN)/gm demo

# C++ tests and native harness: in the folder of the native modules, or with a sanitizer or a
# mutant in one of their own.
ifeq ($(CORE),build/core)
core: native
	@flock build/native.lock $(BIN)/ninja -C $(CORE) -j $(JOBS) gm_tests
else
core: $(INSTALLED)
	@mkdir -p build
	$(CMAKE) -S . -B $(CORE) -DGM_SANITIZE=$(SANITIZE) -DGM_MUTANT=$(MUTANT)
	$(BIN)/ninja -C $(CORE) -j $(JOBS) gm_tests
endif

test-core: core
	TSAN_OPTIONS="halt_on_error=1 second_deadlock_stack=1" UBSAN_OPTIONS=print_stacktrace=1 \
	    $(BIN)/ctest --test-dir $(CORE) --output-on-failure --no-tests=error -j $(JOBS)

# The broken variants of promises, each of which its test must find. make test runs them too.
mutants: core
	$(BIN)/ctest --test-dir $(CORE) --output-on-failure --no-tests=error -R mutant
	$(BIN)/pytest -q tests/audit -k leak

test: native test-core
	$(BIN)/pytest $(SPREAD) $(PYTEST)

# Needs torch: .ci/setup brings the packages of requirements-train.lock into .venv.
TRAIN_INSTALLED := .venv/.installed-train

$(TRAIN_INSTALLED): requirements-train.lock .ci/setup | $(INSTALLED)
	.ci/setup train

# Real files; the folder is not part of the clone. A missing file is a failure.
test-data: native core $(TRAIN_INSTALLED)
	GM_DATA="$(GM_DATA)" $(BIN)/pytest -m "data and not slow" $(SPREAD) $(PYTEST)

# What takes long of the kills: ten thousand at 50,000 messages a second, one at each write, hundreds
# on real months (P1, P2), and five hundred kill switches (P13).
kill-campaign: native core
	GM_DATA="$(GM_DATA)" $(BIN)/pytest -m slow --timeout 7200 $(PYTEST)

# Twenty thousand orders of which the message, the answer, the connection, the process or the power
# is lost (P2, P3); a minute. A failure names its seed: SEED=7 SUBMITS=600 looks at that one again.
SUBMITS ?= 20000
submit-campaign: native
	@flock build/native.lock $(BIN)/ninja -C build/core -j $(JOBS) test_session
	GM_SUBMITS=$(SUBMITS) GM_SUBMIT_SEED=$(SEED) \
	    build/core/test_session --source-file="*submit_campaign_test.cpp"

# Ten thousand adversaries at the gate and as many through a whole engine (P14); about a minute.
ADVERSARIES ?= 10000
gate-campaign: native
	@flock build/native.lock $(BIN)/ninja -C build/core -j $(JOBS) test_engine
	GM_CAMPAIGN_SEEDS=$(ADVERSARIES) build/core/test_engine -tc="P14*"

# A million images of a disk that lost its power, and a thousand places of each way to tamper with a
# journal; half an hour. A failure names its seed: SEED=12345 IMAGES=1 looks at that one again.
IMAGES ?= 1000000
PLACES ?= 1000
SEED ?= 1
journal-campaign: native
	@flock build/native.lock $(BIN)/ninja -C build/core -j $(JOBS) test_journal
	GM_JOURNAL_IMAGES=$(IMAGES) GM_JOURNAL_PLACES=$(PLACES) GM_JOURNAL_SEED=$(SEED) \
	    build/core/test_journal --source-file="*power_loss_test.cpp,*tamper_test.cpp"

# P12: ten journals replayed by GCC and Clang at -O0 and -O3, each with three sets of vector
# instructions; a quarter of an hour.
SAME_BYTES := gcc-O0 gcc-O3 clang-O0 clang-O3
COMPILER-gcc := g++
COMPILER-clang := clang++-16
same-bytes: native core $(SAME_BYTES:%=build/same-bytes-%)
	GM_SAME_BYTES_BUILDS=$(subst $() ,:,$(SAME_BYTES:%=$(CURDIR)/build/same-bytes-%)) \
	    $(BIN)/pytest tests/test_same_bytes.py $(PYTEST)

.PHONY: $(SAME_BYTES:%=build/same-bytes-%)
$(SAME_BYTES:%=build/same-bytes-%): build/same-bytes-%: $(INSTALLED)
	@.ci/setup same-bytes
	$(CMAKE) -S . -B $@ -DCMAKE_BUILD_TYPE=None -DCMAKE_CXX_FLAGS=-$(lastword $(subst -, ,$*)) \
	    -DCMAKE_CXX_COMPILER=$(COMPILER-$(firstword $(subst -, ,$*)))
	$(BIN)/ninja -C $@ -j $(JOBS) gm-core-harness gm-core-harness-scalar gm-core-harness-avx2

# Worlds of seeded faults (README, gm simulate): a hundred thousand, or a thousand for CI. FIRST=5000
# begins elsewhere. A seed that breaks a promise is named: gm simulate --seed 12345 plays it again.
SEEDS ?= 100000
FIRST ?= 1
simulate: native
	$(BIN)/gm simulate --seeds $(SEEDS) --first $(FIRST)

simulate-smoke: native
	$(BIN)/gm simulate --seeds 1000

test-train: native $(TRAIN_INSTALLED)
	$(BIN)/pytest -m "train and not data and not slow" $(SPREAD) $(PYTEST)

# The shipped bundle mappo-btc again, from the sample data: its hash is the last line. One thread:
# equal on this kind of machine.
mappo-btc: native $(TRAIN_INSTALLED)
	rm -rf build/mappo_btc
	$(BIN)/gm train --strategic "$(GM_DATA)/btc_perp_1m_202201.csv" --instrument BTC-PERP \
	    --settings configs/mappo_btc.yaml --config configs/development.yaml \
	    --episode-bars 64 --validation-share 0.15 --test-share 0.25 --out build/mappo_btc
	$(BIN)/gm export build/mappo_btc --out gm/models/mappo_btc --name mappo_btc \
	    --label "MAPPO, BTC January 2022, small sample"

# An engine at RATE messages a second for MINUTES with GB of journal and a fault every FAULT_EVERY
# seconds (tests/soak): memory, descriptors, latency and disk must stand still and the books agree.
# The tape of the hour takes 14 GB of disk, too. soak-smoke shows that it runs.
MINUTES ?= 60
RATE ?= 50000
GB ?= 10
FAULT_EVERY ?= 60
soak: native
	$(BIN)/python -m tests.soak --minutes $(MINUTES) --rate $(RATE) --gb $(GB) \
	    --fault-every $(FAULT_EVERY) --seed $(SEED)

soak-smoke: native
	$(BIN)/python -m tests.soak --minutes 2 --rate 20000 --gb 1 --fault-every 15 --seed $(SEED)

# Every decoder of bytes from outside under a fuzzer: the saved inputs and a minute of new ones, or
# ten million executions of each target. TARGETS="frame csv" runs these alone.
TARGETS ?=
fuzz: native
	@.ci/setup fuzz
	$(BIN)/python -m tests.fuzz --seconds 60 $(TARGETS)

fuzz-campaign: native
	@.ci/setup fuzz
	$(BIN)/python -m tests.fuzz --executions 10000000 $(TARGETS)

# The order protocol under Spin: right versions hold, each wrong one is refuted; or within bounds
# that want hours and 6 GB. SEARCHES="life crash" runs those whose names have these words.
SEARCHES ?=
model: $(INSTALLED)
	@.ci/setup model
	$(BIN)/python core/tests/model/check.py $(SEARCHES)

model-campaign: $(INSTALLED)
	@.ci/setup model
	$(BIN)/python core/tests/model/check.py --campaign $(SEARCHES)

lint: native
	@.ci/lint

format: $(INSTALLED)
	$(BIN)/ruff check -q --fix-only .
	$(BIN)/ruff format -q .
	git ls-files '*.hpp' '*.cpp' | xargs -r $(BIN)/clang-format -i

bench: native core
	GM_DATA="$(GM_DATA)" $(BIN)/python -m bench

# The peers that want other versions than we do, each in an environment of its own; 2.5 GB. What is
# not installed, make bench reports as not measured.
PEERS := nautilus hftbacktest sb3
bench-peers: $(foreach peer,$(PEERS),build/peers/$(peer)/.installed)

build/peers/%/.installed: bench/peers/requirements-%.txt | $(INSTALLED)
	$(BIN)/python -m venv $(@D)
	$(@D)/bin/pip install -q --disable-pip-version-check -r $<
	touch $@

# Every benchmark once, briefly: shows that they run and verify, not how fast.
bench-smoke: native core
	$(BIN)/python -m bench --smoke

wheel: $(INSTALLED)
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/pip wheel -q --disable-pip-version-check \
	    --no-build-isolation --no-deps -w build/wheel --config-settings build-dir=build/wheel-py \
	    --config-settings cmake.build-type=Release .
	@ls build/wheel/*.whl

# requirements.lock from the ranges of pyproject.toml.
lock: $(INSTALLED)
	.ci/lock

clean:
	rm -rf build var/demo .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
