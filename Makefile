# Mailroom; `make help` says what there is. Needs Rust (https://rustup.rs) and a C compiler; what
# else a target needs and does not find, it fetches into target/.

CARGO ?= cargo
# Where rustup puts cargo: the shell of a fresh machine or a CI job may not know yet.
export PATH := $(PATH):$(HOME)/.cargo/bin
# The same for cargo, its configuration notwithstanding, and for us.
export CARGO_TARGET_DIR ?= $(CURDIR)/target

PROGRAMS := -p mailroom-collector -p mailroom-sender

# How long `make soak` injects faults.
SECONDS ?= 60

.DEFAULT_GOAL := release
.PHONY: release debug demo soak fuzz test check fmt clean help

release: ## Build collector and sender into bin/ (the default)
	$(CARGO) build --locked --release $(PROGRAMS)
	@mkdir -p bin
	install -m 755 "$$CARGO_TARGET_DIR/release/collector" "$$CARGO_TARGET_DIR/release/sender" bin

debug: ## Build them quickly, with debug information
	$(CARGO) build --locked $(PROGRAMS)
	@mkdir -p bin
	install -m 755 "$$CARGO_TARGET_DIR/debug/collector" "$$CARGO_TARGET_DIR/debug/sender" bin

demo: ## Watch the whole pipe at work, on a private PostgreSQL and a double of Amazon SES
	$(CARGO) build --locked $(PROGRAMS) -p xtask
	@MAILROOM_TEST_BIN_DIR="$$CARGO_TARGET_DIR/debug" "$$CARGO_TARGET_DIR/debug/xtask" demo

soak: ## Faults at random for SECONDS=60, then a count of what was lost; SEED= as printed
	$(CARGO) build --locked $(PROGRAMS) -p xtask
	@MAILROOM_TEST_BIN_DIR="$$CARGO_TARGET_DIR/debug" "$$CARGO_TARGET_DIR/debug/xtask" soak \
		"$(SECONDS)" "$(SEED)"

# Without a sanitizer, which looks for what only unsafe code can do (we have none) and makes it three
# times as slow.
RUNS ?= 10000000
fuzz: ## Fuzz what reads bytes from outside, RUNS= each; needs a nightly compiler and cargo-fuzz
	for target in line token settings conninfo; do \
		$(CARGO) +nightly fuzz run -s none $$target -- -runs=$(RUNS) || exit 1; \
	done

# The programs first, each by itself as testkit has them built, so that no test has to wait for it.
test: ## Run all tests, on a private PostgreSQL
	$(CARGO) build --locked -p mailroom-collector
	$(CARGO) build --locked -p mailroom-sender
	$(CARGO) test --locked --workspace

check: ## Check formatting, lints, docs, licences, SQL, scripts and published vectors
	@CARGO="$(CARGO)" sh scripts/check

fmt: ## Format the Rust code
	$(CARGO) fmt --all

clean: ## Remove what was built, and the tools fetched for it
	$(CARGO) clean
	rm -rf bin

help: ## Show this
	@sed -n 's/^\([a-z]*\): ## \(.*\)/make \1	\2/p' $(MAKEFILE_LIST) | expand -t 16
