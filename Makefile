# Commands to build, test and deploy the project. `make help` lists them.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
# The order of prerequisites matters.
.NOTPARALLEL:

# Folder with the photos for `make demo`.
PHOTOS ?= local/photos
# Tests run the programs with failpoints.
TESTED := --workspace --features irmgard/failpoints,anonymizer/failpoints
# The programs that `make demo`, `make e2e` and IMAGE_FROM run. Always build them together: with another set of packages,
# cargo unifies other features and compiles the dependencies again.
PROGRAMS := -p local -p irmgard -p anonymizer -p logq -p fluentd-normalizer -p e2e
# Cargo's target directory.
BUILT := $(or $(CARGO_TARGET_DIR),target)
# Seconds for each fuzz target.
FUZZ_SECONDS ?= 60

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /\1\t/' | expand -t 14

.PHONY: setup
setup: ## Install what is missing: PostgreSQL, RabbitMQ, build tools, ONNX Runtime, OpenSearch
	@local/install

# Checks PHOTOS before the long build.
.PHONY: photos
photos:
	@test -d "$(PHOTOS)" || { echo 'make: PHOTOS="$(PHOTOS)" is not a folder (write $$HOME instead of ~)' >&2; exit 2; }

.PHONY: programs
programs: ## Build the programs into target/release
	@cargo build --release $(PROGRAMS)

.PHONY: demo
demo: photos setup programs ## Start everything, anonymise the photos in PHOTOS=folder, keep it running
	@$(BUILT)/release/local demo "$(PHOTOS)"

.PHONY: status
status: ## Show the processes and addresses of `make demo`
	@if [[ -x $(BUILT)/release/local ]]; then $(BUILT)/release/local status || (($$? == 3)); else echo 'nothing is running'; fi

.PHONY: down
down: ## Stop everything that `make demo` started
	@if [[ -x $(BUILT)/release/local ]]; then $(BUILT)/release/local down; \
	elif [[ -e .local/stack.processes ]]; then cargo run -q --release -p local -- down; fi

.PHONY: test
test: setup ## Run all tests against real servers, which it starts for the run
	@local/test $(TESTED)

.PHONY: generate
generate: ## Write the files that are made from code: tables in docs, openapi.json, golden log lines, index mappings, dashboards
	@UPDATE=1 cargo test -q $(TESTED) --test configuration --test documentation --test generated --test golden --test reports \
		--test templates -- --skip fluentd_makes_the_expected_document_of_each_line
	@git --no-pager diff --stat

# Finds unused dependencies. `make lint` builds it once.
MACHETE := .local/cargo-machete-0.9.2/bin/cargo-machete

$(MACHETE):
	@cargo install --quiet --locked --root .local/cargo-machete-0.9.2 cargo-machete@0.9.2

.PHONY: lint
lint: $(MACHETE) ## Check formatting, clippy, circles of modules, dependencies; also shell scripts and licences if the tools are installed
	@cargo metadata --locked --format-version 1 >/dev/null
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --features irmgard/failpoints,anonymizer/failpoints -- -D warnings
	@cargo test -q $(TESTED) --test structure
	@$(MACHETE) --with-metadata
	@if command -v cargo-deny >/dev/null; then cargo deny --all-features check; \
	else echo 'lint: cargo-deny is not installed, so licences and advisories were not checked'; fi
	@if command -v shellcheck >/dev/null; then git grep -lE '^#!.*sh$$' -- ':!*.rs' | xargs shellcheck; \
	else echo 'lint: shellcheck is not installed, so the shell scripts were not checked'; fi

.PHONY: secrets
secrets: ## Generate missing passwords and keys for the cluster
	@manifests/secrets/make-secrets

.PHONY: certificates
certificates: ## Create missing TLS certificates of the data services; renew those that expire within 30 days
	@manifests/secrets/make-certificates

# The overlay that `make deploy` deploys.
OVERLAY ?= minikube

.PHONY: images
images: ## Build the container images: IMAGE_BUILD="docker build"; IMAGE_FROM=target/release uses built programs
	@IMAGE_BUILD="$(IMAGE_BUILD)" IMAGE_FROM="$(IMAGE_FROM)" manifests/build-images

.PHONY: deploy
deploy: ## Deploy OVERLAY=minikube, ha or a folder to kubectl's current cluster, and wait until it is ready
	@manifests/deploy "$(OVERLAY)"

# Cases for `make e2e`. Default: all.
CASE ?=

.PHONY: e2e
e2e: programs ## Test in kubectl's current cluster: CASE=works, default all (e2e/README.md). Deletes its namespaces
	@$(BUILT)/release/e2e $(CASE)

.PHONY: bench
bench: setup programs ## Measure speed and memory; prints tables, writes JSON to target/bench
	@mkdir -p target/bench
	@ORT_DYLIB_PATH="$${ORT_DYLIB_PATH:-$(CURDIR)/.local/onnxruntime/libonnxruntime.so.1.31.1}" \
		cargo bench -p imaging --bench photo -- --json "$(CURDIR)/target/bench/photo.json"
	@cargo bench -p logq --bench files -- --json "$(CURDIR)/target/bench/logq.json"
	@$(BUILT)/release/local exec --with opensearch -- \
		cargo bench -p logq --bench opensearch -- --json "$(CURDIR)/target/bench/opensearch.json"
	@$(BUILT)/release/local exec --with opensearch -- \
		cargo bench -p fluentd --bench lines -- --json "$(CURDIR)/target/bench/fluentd.json"
	@BENCH_OUT="$${BENCH_OUT:-$(CURDIR)/target/bench}" \
		$(BUILT)/release/local exec -- cargo bench -p e2e --bench uploads

.PHONY: release
release: ## Set VERSION=X.Y.Z in every file that contains the version, and print the next commands
	@release/prepare "$(VERSION)"

.PHONY: fuzz
fuzz: ## Run each fuzz target for FUZZ_SECONDS seconds (default 60)
	@local/fuzz $(FUZZ_SECONDS)
