# What a person types. `make` alone lists it.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
export SEATRIAL_CACHE ?= $(HOME)/.cache/seatrial
# `su` and `sudo` forget these.
export PATH := $(PATH):/usr/local/sbin:/usr/sbin:/sbin:/usr/local/go/bin:$(HOME)/.cargo/bin
# Newer ones may need a newer Rust, or find more.
CARGO_DENY := 0.20.2

help: ## List what can be made
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

demo: ## Show it all: a cluster, the chart, a model that is trained, judged and served
	e2e/demo

# Each a make of its own: one after the other, also under -j, and the packages first.
test: ## Run everything that CI checks
	e2e/packages/install test
	@for stage in lint unit simulation examples e2e; do echo "[test] $$stage"; $(MAKE) --no-print-directory $$stage || exit; done

# The patches of the mutants must fit the sources.
lint: $(SEATRIAL_CACHE)/tools/cargo-deny-$(CARGO_DENY)/bin/cargo-deny ## Check format, lints, licences and bans
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked --quiet -- -D warnings
	$(SEATRIAL_CACHE)/tools/cargo-deny-$(CARGO_DENY)/bin/cargo-deny --log-level error check bans licenses sources
	e2e/simulation/mutants/run --check

unit: ## Run the tests that need no cluster
	cargo test --workspace --locked --quiet --exclude seatrial-e2e --exclude seatrial-simulation

# The program is built by the same command as its tests, so that it is built once.
simulation: ## Run the simulation's tests, every crash of every scenario, and seeded mixes for two minutes
	cargo test --quiet --locked --profile simulation -p seatrial-simulation
	$${CARGO_TARGET_DIR:-target}/simulation/simulate --within 120

simulate: ## Play simulations with faults: SEEDS=n seeded mixes, or SEED=n alone, with its trace
	cargo test --quiet --locked --profile simulation -p seatrial-simulation --no-run
	$${CARGO_TARGET_DIR:-target}/simulation/simulate

mutants: ## Make faults in the operator's code, each of which the simulation must notice (an hour)
	e2e/simulation/mutants/run $(MUTANTS)

examples: ## Check the examples' Python: format, lints, types, tests
	examples/test

e2e: ## Run the tests on real API servers and on a real cluster (needs root)
	e2e/run

# SIZES and ROUNDS: how many runs at once, and how often each is measured.
bench: ## Measure runs a minute, beside what the cluster can do without Seatrial (an hour)
	e2e/cluster/tools kubernetes kwok >/dev/null
	cargo build --locked --quiet --profile image -p seatrial-operator -p seatrial-e2e --bin seatrial-operator --bin bench
	target/image/bench --sizes $(or $(SIZES),200,500,1000) --rounds $(or $(ROUNDS),5)

largest: ## Run the largest pipeline that the API takes to its end, on a cluster whose pods are played
	e2e/cluster/tools kubernetes kwok >/dev/null
	cargo build --locked --quiet --profile image -p seatrial-operator -p seatrial-e2e --bin seatrial-operator --bin bench
	target/image/bench --largest

# LARGE: MiB of the large file. MEDIUM: how many files of 128 MiB. SMALL: how many of 4 KiB. ROUNDS: how often each is measured.
# SETUPS: which of embedded, link and versitygw. LATENCY: milliseconds of the link.
bench-store: ## Measure how fast the agent and the store are, beside s5cmd and another server
	S5CMD=$$(e2e/cluster/tools s5cmd)/s5cmd VERSITYGW=$$(e2e/cluster/tools versitygw)/versitygw \
		LARGE=$(LARGE) MEDIUM=$(MEDIUM) SMALL=$(SMALL) ROUNDS=$(ROUNDS) SETUPS=$(SETUPS) LATENCY=$(LATENCY) \
		cargo bench --locked --quiet --profile image -p seatrial-agent --bench store

# FILES: how many.
bench-files: ## Measure the agent's memory for an artifact of a million files (a quarter of an hour)
	FILES=$(or $(FILES),1000000) cargo bench --locked --quiet --profile image -p seatrial-agent --bench million

agreement: ## Compare the judge with scikit-learn and fairlearn, and verdicts about data with datacontract-cli
	evidence/agreement/run

# ROWS: how many predictions. ROUNDS: how often each is measured.
bench-evidence: ## Measure how fast the judge is, beside scikit-learn and fairlearn
	ROWS=$(ROWS) ROUNDS=$(ROUNDS) evidence/bench/run

# ROWS: how many rows. ROUNDS: how often each is measured.
bench-checks: ## Measure how fast data are checked, beside datacontract-cli and plain DuckDB
	ROWS=$(ROWS) ROUNDS=$(ROUNDS) evidence/bench/checks/run

generate: ## Write the CRDs and the reference that the types describe
	cargo run --quiet --package seatrial-crds --bin generate-manifests crds/manifests charts/seatrial/files/crds docs/reference/api.md

cluster-up: ## Start a real Kubernetes of one node on this machine (needs root)
	e2e/cluster/up

cluster-down: ## End it and leave nothing behind
	e2e/cluster/down

kubeconfig: ## Print the path of its kubeconfig
	@e2e/cluster/kubeconfig

images: ## Build all images that changed
	e2e/images/build

$(SEATRIAL_CACHE)/tools/cargo-deny-$(CARGO_DENY)/bin/cargo-deny:
	cargo install cargo-deny --version $(CARGO_DENY) --locked --quiet --root $(SEATRIAL_CACHE)/tools/cargo-deny-$(CARGO_DENY)

.PHONY: help demo test bench largest bench-store bench-evidence bench-checks agreement lint unit simulation simulate mutants examples e2e generate cluster-up cluster-down kubeconfig images
