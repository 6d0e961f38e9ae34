# Mailroom; `make help` says what there is. Needs Rust (https://rustup.rs) and a C compiler; what
# else a target needs and does not find, it fetches into target/.

CARGO ?= cargo
# Where rustup puts cargo: the shell of a fresh machine or a CI job may not know yet.
export PATH := $(PATH):$(HOME)/.cargo/bin
# The same for cargo, its configuration notwithstanding, and for us.
export CARGO_TARGET_DIR ?= $(CURDIR)/target

PROGRAMS := -p mailroom-collector -p mailroom-sender
# One set for whatever is there to be watched: which features a dependency is compiled with depends on
# what is compiled together, so that another set compiles most of it anew.
SHOWS := $(PROGRAMS) -p xtask -p mailroom-example-signup
# And one for whatever is installed, or is to be measured as it is installed.
INSTALLED := $(PROGRAMS) -p mailroom-operator

# How long `make soak` injects faults.
SECONDS ?= 60

.DEFAULT_GOAL := release
.PHONY: release debug demo example soak bench bench-peers bench-smtp instructions fuzz test image-test \
	check fmt clean help

release: ## Build collector, sender and the operator's tool into bin/ (the default)
	$(CARGO) build --locked --release $(INSTALLED)
	@mkdir -p bin
	install -m 755 "$$CARGO_TARGET_DIR/release/collector" "$$CARGO_TARGET_DIR/release/sender" \
		"$$CARGO_TARGET_DIR/release/mailroom" bin

debug: ## Build them quickly, with debug information
	$(CARGO) build --locked $(INSTALLED)
	@mkdir -p bin
	install -m 755 "$$CARGO_TARGET_DIR/debug/collector" "$$CARGO_TARGET_DIR/debug/sender" \
		"$$CARGO_TARGET_DIR/debug/mailroom" bin

demo: ## Watch the whole pipe at work, on a private PostgreSQL and a double of Amazon SES
	$(CARGO) build --locked $(SHOWS)
	@MAILROOM_TEST_BIN_DIR="$$CARGO_TARGET_DIR/debug" "$$CARGO_TARGET_DIR/debug/xtask" demo

example: ## Run the example application: sign up and get the mail, in a browser; Ctrl-C ends it
	$(CARGO) build --locked $(SHOWS)
	@MAILROOM_TEST_BIN_DIR="$$CARGO_TARGET_DIR/debug" "$$CARGO_TARGET_DIR/debug/xtask" example

soak: ## Faults at random for SECONDS=60, then a count of what was lost; SEED= as printed
	$(CARGO) build --locked $(SHOWS)
	@MAILROOM_TEST_BIN_DIR="$$CARGO_TARGET_DIR/debug" "$$CARGO_TARGET_DIR/debug/xtask" soak \
		"$(SECONDS)" "$(SEED)"

# The programs last, as `make release` has them built: what is measured is what is installed.
JSON ?= $(CARGO_TARGET_DIR)/bench.json
PEERS ?= $(CARGO_TARGET_DIR)/peers
bench: ## Measure it beside its limits and other queues: ROWS=2,3 ROUNDS=5 GROWTH=10000,1000000
	$(CARGO) build --locked --release -p xtask
	$(CARGO) build --locked --release $(INSTALLED)
	@MAILROOM_TEST_BIN_DIR="$$CARGO_TARGET_DIR/release" "$$CARGO_TARGET_DIR/release/xtask" bench \
		rows="$(ROWS)" rounds="$(ROUNDS)" part="$(PART)" growth="$(GROWTH)" peers="$(PEERS)" \
		over="$(OVER)" json="$(JSON)"

bench-peers: ## Fetch other queues for `make bench` into PEERS=target/peers; DRIVERS=<directory>
	@CARGO="$(CARGO)" sh scripts/bench-peers "$(DRIVERS)" "$(PEERS)"

MAILS ?= 200
bench-smtp: ## Time MAILS=200 mails by SMTP to a private Postfix, against lettre's plain send()
	$(CARGO) build --locked --release -p xtask
	@"$$CARGO_TARGET_DIR/release/xtask" bench-smtp "$(MAILS)"

BUDGETS ?= instructions/budgets.txt
instructions: ## Count the instructions a mail takes, under Valgrind; fail if one is above its budget
	@CARGO="$(CARGO)" sh scripts/instructions "$(BUDGETS)" $(INSTALLED)

# Without a sanitizer, which looks for what only unsafe code can do (we have none) and makes it three
# times as slow.
RUNS ?= 10000000
fuzz: ## Fuzz what reads bytes from outside, RUNS= each; needs a nightly compiler and cargo-fuzz
	for target in line token settings conninfo; do \
		$(CARGO) +nightly fuzz run -s none $$target -- -runs=$(RUNS) || exit 1; \
	done

# The programs first, as testkit has them built, so that no test has to wait for it.
test: ## Run all tests, on a private PostgreSQL
	$(CARGO) build --locked $(INSTALLED)
	$(CARGO) build --locked -p xtask -p mailroom-example-signup
	$(CARGO) test --locked --workspace

image-test: ## Build the image and run the pipe in it, where there are buildah and PostgreSQL
	@scripts/image-test

check: ## Check formatting, lints, docs, licences, SQL, scripts, packaging and vectors
	@CARGO="$(CARGO)" sh scripts/check

fmt: ## Format the Rust code
	$(CARGO) fmt --all

clean: ## Remove what was built, and the tools fetched for it
	$(CARGO) clean
	rm -rf bin

help: ## Show this
	@sed -n 's/^\([a-z-]*\): ## \(.*\)/make \1	\2/p' $(MAKEFILE_LIST) | expand -t 16
