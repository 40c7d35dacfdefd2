# What there is to do with this project. `make help` lists it.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
# Targets are named in the order in which they must be made.
.NOTPARALLEL:

# Photos of the demonstration: a folder.
PHOTOS ?= local/photos
# The programs are tested with the places at which a test may end them.
TESTED := --workspace --features irmgard/failpoints,anonymizer/failpoints
# What `make demo`, `make e2e` and IMAGE_FROM run. Always together: of other packages cargo unites other features of what they
# depend on, and compiles it anew.
PROGRAMS := -p local -p irmgard -p anonymizer -p logq -p e2e
# Where cargo puts what it builds.
BUILT := $(or $(CARGO_TARGET_DIR),target)
# How long each fuzz target runs, in seconds.
FUZZ_SECONDS ?= 60

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 10

.PHONY: setup
setup: ## Install what is missing: Debian's PostgreSQL and RabbitMQ, compilers' helpers, ONNX Runtime, OpenSearch
	@local/install

# Before anything is built for it.
.PHONY: photos
photos:
	@test -d "$(PHOTOS)" || { echo 'make: PHOTOS="$(PHOTOS)" is no folder (a shell may leave ~ as it is: write $$HOME)' >&2; exit 2; }

.PHONY: programs
programs: ## Build our programs into target/release
	@cargo build --release $(PROGRAMS)

.PHONY: demo
demo: photos setup programs ## Start everything, anonymise the photos of PHOTOS=folder, leave it running
	@$(BUILT)/release/local demo "$(PHOTOS)"

.PHONY: down
down: ## End what `make demo` has started
	@if [[ -x $(BUILT)/release/local ]]; then $(BUILT)/release/local down; \
	elif [[ -e .local/stack.processes ]]; then cargo run -q --release -p local -- down; fi

.PHONY: test
test: setup ## Run all tests against real servers, started for the run
	@local/test $(TESTED)

.PHONY: lint
lint: ## Check formatting, clippy, shell scripts, and licences where cargo-deny is installed
	@cargo metadata --locked --format-version 1 >/dev/null
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --features irmgard/failpoints,anonymizer/failpoints -- -D warnings
	@if command -v cargo-deny >/dev/null; then cargo deny --all-features check; \
	else echo 'lint: cargo-deny is not installed, so licences and advisories were not checked'; fi
	@if command -v shellcheck >/dev/null; then shellcheck local/install local/wheel local/test local/fuzz .ci/run manifests/secrets/make-secrets manifests/secrets/make-certificates manifests/build-images manifests/deploy e2e/images/build \
		e2e/images/opensearch/*.sh e2e/images/minio/*.sh \
		manifests/base/minio/setup.sh manifests/base/opensearch/begin.sh manifests/base/opensearch/ready.sh manifests/base/rabbitmq/begin.sh services/postgres/irmgard-postgres services/postgres/irmgard-roles; \
	else echo 'lint: shellcheck is not installed, so the shell scripts were not checked'; fi

.PHONY: secrets
secrets: ## Draw passwords and keys for the cluster, those that are not there yet
	@manifests/secrets/make-secrets

.PHONY: certificates
certificates: ## Make an authority and certificates for the data services, those that are missing or end soon
	@manifests/secrets/make-certificates

# What `make deploy` brings into the cluster.
OVERLAY ?= minikube

.PHONY: images
images: ## Build our images: IMAGE_BUILD="docker build" or another command, IMAGE_FROM=target/release to compile nothing
	@IMAGE_BUILD="$(IMAGE_BUILD)" IMAGE_FROM="$(IMAGE_FROM)" manifests/build-images

.PHONY: deploy
deploy: ## Bring OVERLAY=minikube, ha or a folder into the cluster of kubectl, and wait until it runs
	@manifests/deploy "$(OVERLAY)"

# Which demonstrations: all, unless some are named.
CASE ?=

.PHONY: e2e
e2e: programs ## Demonstrate in the cluster of kubectl what must hold: CASE=works, or all (e2e/README.md). Deletes its namespaces
	@$(BUILT)/release/e2e $(CASE)

.PHONY: bench
bench: setup programs ## Measure speed and memory: tables, and JSON in target/bench
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

.PHONY: fuzz
fuzz: ## Run each fuzz target for FUZZ_SECONDS (60)
	@local/fuzz $(FUZZ_SECONDS)
