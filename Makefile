# The commands that one tries first. All of them are `cargo xtask …`: see `cargo xtask help`.

XTASK = cargo xtask
FILES =

.DEFAULT_GOAL = help
.PHONY: help build release run test conformance valgrind bench ci

help: ## show this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

build: ## build the module into target/module/
	$(XTASK) build

release: ## build it as it is to be installed
	$(XTASK) build --release

run: ## show the module at work on a real nginx
	$(XTASK) run

test: ## run the tests, or FILES="t/002-content.t …"
	$(XTASK) test $(FILES)

conformance: ## run lua-nginx-module's suite, or FILES="002-content.t …" of it
	$(XTASK) conformance $(FILES)

valgrind: ## look for wrong accesses and leaks, or FILES="t/002-content.t …" under memcheck
	$(XTASK) valgrind $(FILES)

bench: ## compare this module with the C module
	$(XTASK) bench

ci: ## run everything that a change must pass
	$(XTASK) ci
