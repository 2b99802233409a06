# palaver's front door. Each target is a line or two over meson and tools/; `make help` lists them.
BUILD  ?= build
PORT   ?= 3000
PREFIX ?= /usr/local
PYTHON := /usr/bin/python3
export PORT

.DEFAULT_GOAL := build
.PHONY: build run example test check torture mutants asan tsan valgrind fuzz fuzz-cover bench bench-quick bench-post cover tidy fmt clean install help packages test-packages cover-packages client

# What `make help` prints: the targets with a comment behind two hashes.
build: packages client ## build into build/ (the default)
	@tools/build.sh $(BUILD)

run: build ## build and serve the chat; open the address it names (PORT=3000, DATA=folder)
	@exec $(BUILD)/src/app/palaver serve --listen 127.0.0.1:$(PORT) $(if $(DATA),--data $(DATA))

example: build ## build and run libsio's example, examples/broadcast.c
	@echo "open http://127.0.0.1:$(PORT)/chat"
	@exec $(BUILD)/examples/broadcast

test: test-packages client ## all tests (some minutes; OPTIONS=-Dwerror=true: of such a build)
	@tools/build.sh $(BUILD) -Dtests=enabled $(OPTIONS)
	@$(PYTHON) tests/run.py --build $(BUILD) --tier test

check: test-packages client ## unit tests and tidy (under a minute)
	@$(PYTHON) tools/tidy.py
	@tools/build.sh $(BUILD) -Dtests=enabled
	@$(PYTHON) tests/run.py --build $(BUILD) --tier check

torture: test-packages client ## the tests at full scale (hours)
	@tools/build.sh $(BUILD) -Dtests=enabled
	@$(PYTHON) tests/run.py --build $(BUILD) --tier torture --figures

mutants: test-packages client ## plants the bugs of tests/mutants.toml, one by one: each must fail a test (long)
	@$(PYTHON) tools/mutants.py

asan: test-packages client ## the sanitized tests under AddressSanitizer and UBSan, in build-asan/
	@tools/build.sh build-asan -Dtests=enabled -Doptimization=1 -Db_sanitize=address,undefined -Db_lundef=false -Dc_args=-fno-sanitize-recover=all
	@$(PYTHON) tests/run.py --build build-asan --tier test --sanitized

tsan: test-packages client ## the same under ThreadSanitizer, in build-tsan/
	@tools/build.sh build-tsan -Dtests=enabled -Doptimization=1 -Db_sanitize=thread -Db_lundef=false
	@$(PYTHON) tests/run.py --build build-tsan --tier test --sanitized thread

valgrind: test-packages client ## the sanitized tests under valgrind, in build/ (an hour)
	@tools/build.sh build -Dtests=enabled
	@$(PYTHON) tests/run.py --build build --tier test --sanitized valgrind

fuzz: test-packages ## every fuzz target over fuzz/corpus/, then for FUZZ_SECONDS (30), in build-fuzz/
	@CC=clang-14 tools/build.sh build-fuzz -Dfuzz=true -Db_sanitize=address,undefined -Db_lundef=false \
		'-Dc_args=-fno-sanitize-recover=all -fsanitize=fuzzer-no-link'
	@tools/fuzz.sh build-fuzz

fuzz-cover: cover-packages ## which lines the inputs of fuzz/corpus/ reach, in build-fuzz-cover/
	@CC=clang-14 LLVM_PROFILE_FILE=/dev/null tools/build.sh build-fuzz-cover -Dfuzz=true -Dtests=disabled -Db_lundef=false \
		'-Dc_args=-fprofile-instr-generate -fcoverage-mapping -D__noreturn__=__cold__' \
		-Dc_link_args=-fprofile-instr-generate
	@$(PYTHON) tools/fuzz_cover.py build-fuzz-cover

bench: test-packages build ## the benchmark: its peers, durable posts, scale (under 25 minutes)
	@status=0; for part in run post scale; do $(PYTHON) bench/$$part.py --build $(BUILD) $(ARGS) || status=1; done; exit $$status

bench-quick: test-packages build ## socket.io on Node alone, in 3 minutes
	@$(PYTHON) bench/run.py --build $(BUILD) --quick $(ARGS)

bench-post: test-packages build ## durable posts through the program (ARGS=--quick)
	@$(PYTHON) bench/post.py --build $(BUILD) $(ARGS)

cover: test-packages client ## which lines of src/ the tests reach, in build-cover/
	@tools/build.sh build-cover -Dtests=enabled -Db_coverage=true
	@$(PYTHON) tests/run.py --build build-cover --tier test --sanitized
	@$(PYTHON) tools/cover.py build-cover

tidy: ## the rules of the tree that no compiler checks
	@$(PYTHON) tools/tidy.py

fmt: test-packages ## clang-format over the tree
	@tools/format.sh

install: build ## install the library, its headers, its documents and the programs (PREFIX, DESTDIR)
	@meson configure $(BUILD) -Dprefix=$(PREFIX) && meson install -C $(BUILD)

clean: ## remove what was built
	rm -rf build build-*

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' Makefile | expand -t 16

packages:
	@tools/install.sh build

test-packages:
	@tools/install.sh build test

cover-packages:
	@tools/install.sh build test cover

client:
	@tools/web.sh --optional
