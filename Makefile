# One target for each task. `make demo` and `make test` work from a fresh clone: they first do what they need.
# HSAE_CACHE moves the cache of models and of llama.cpp.

HSAE_CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/hsae
export HSAE_CACHE
# Set-up makes a link to this machine's build of llama.cpp; every `swift build` needs its .pc file.
export PKG_CONFIG_PATH := $(HSAE_CACHE)/llama.cpp/lib/pkgconfig$(if $(PKG_CONFIG_PATH),:$(PKG_CONFIG_PATH))

# The commit that `hsae --version` prints.
export HSAE_COMMIT := $(shell git rev-parse --short HEAD 2>/dev/null)$(shell \
  git diff --quiet HEAD 2>/dev/null; [ $$? -ne 1 ] || echo -modified)

HSAE := .build/release/hsae
SOURCES := Package.swift Sources Tests Benchmarks Snippets Examples/Package.swift Examples/Sources

.DEFAULT_GOAL := build
.NOTPARALLEL:
.PHONY: setup build demo demo-activations test test-build models soak bench valgrind bench-check \
  bench-record format lint clean mpi test-mpi two-hosts install deb site docs examples

setup: ## Installs what is missing and builds llama.cpp, once.
	@scripts/setup.sh

build: setup ## The executable, optimised: .build/release/hsae.
	swift build -c release --product hsae

PREFIX ?= /usr/local

install: build ## The executable, its manual pages and completions, under PREFIX (/usr/local).
	install -D -m 755 $(HSAE) $(DESTDIR)$(PREFIX)/bin/hsae
	scripts/install-shell.sh $(HSAE) $(DESTDIR)$(PREFIX)

deb: ## A Debian package; machines that install it need no Swift: out/hsae_VERSION_amd64.deb.
	@scripts/deb.sh

site: build ## The documentation as pages that open from the disk: out/site/index.html.
	@HSAE_SITE=1 scripts/setup.sh
	@scripts/site.sh $(HSAE)

mpi: ## The executable for mpirun and srun, with everything: .build-mpi/release/hsae.
	@HSAE_MPI=1 scripts/setup.sh
	swift build -c release --product hsae --scratch-path .build-mpi --traits default,MPI

test-mpi: mpi test-build ## Training with several processes, also when one fails.
	HSAE_MPI_EXECUTABLE=$(CURDIR)/.build-mpi/release/hsae swift test $(TEST) --disable-xctest \
	  --filter 'MPITests|Rank|Communicator'

two-hosts: mpi ## Training with two network namespaces as machines, also when one fails; needs root.
	runs/two-hosts.sh .build-mpi/release/hsae

demo: build ## From a real model's vocabulary to a page of hierarchies, in minutes.
	$(HSAE) quickstart

demo-activations: build ## From a model's residual stream over Wikipedia to a page, in minutes.
	scripts/demo-activations.sh $(HSAE)

# Tests have a build folder of their own (`.build-test`), because @testable changes the generated code.
# TEST_OPTIONS adds options of `swift test`.
TEST := --configuration release --scratch-path .build-test $(TEST_OPTIONS)
export HSAE_EXECUTABLE := $(CURDIR)/.build-test/release/hsae

test-build: setup
	@swift test list $(TEST) >/dev/null

models: test-build ## The models that tests read, and the plugin that they compute with.
	@$(HSAE_EXECUTABLE) fetch gemma-3-270m
	@$(HSAE_EXECUTABLE) fetch smollm2-135m
	@$(HSAE_EXECUTABLE) fetch plugin cpu

docs: test-build ## The library's documentation as a static site: out/docs.
	scripts/docs.sh site .build-test/release out/docs

examples: setup ## Builds the package in Examples as a user would, and tries it.
	scripts/examples.sh

test: lint setup ## What continuous integration runs; the summary comes last.
	@scripts/test.sh $(TEST)

soak: models ## The long tests in parts: kills, a million mutated inputs, sanitizers, counts. Passed parts are skipped.
	@scripts/soak.sh $(PARTS)

bench: build ## Training speed, compared with the machine's limit.
	$(HSAE) bench

valgrind:
	@command -v valgrind >/dev/null || HSAE_VALGRIND=1 scripts/setup.sh

bench-check: test-build valgrind ## Compares instructions of every kernel and phase with the recorded numbers.
	Benchmarks/check.sh .build-test/release/hsae-benchmarks

bench-record: test-build valgrind ## Records these numbers again (Benchmarks/thresholds.txt).
	Benchmarks/check.sh .build-test/release/hsae-benchmarks --record

format: ## Rewrites the sources in the project's format.
	swift format format --in-place --recursive --parallel $(SOURCES)

lint: ## Fails where the format differs, a target's imports differ from Package.swift, or a link leads nowhere.
	swift format lint --strict --recursive --parallel $(SOURCES)
	scripts/manifest.py
	scripts/links.py test
	scripts/links.py check

clean: ## Removes build folders; keeps the cache and trained runs (out).
	rm -rf .build .build-test .build-mpi .build-asan .build-tsan .build-deb .build-site .build-examples
