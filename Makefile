# SealVec. `make` builds everything; `make test` proves it.
#
#   make wasm           build/js/sealvec.wasm and build/portable.wasm
#   make vectors        test vectors of others, as `make test` uses them
#   make js             build/js/*.js (for the tests) and dist/ (what is shipped)
#   make test           test-c test-js test-package size
#   make test-browser   in Chromium; CHROMIUM=path, full=1 for the long versions
#   make fuzz           each fuzzer for seconds=60
#   make kill tamper canary nonces growth recall   what `make test` samples, in full
#   make example        the private-search page, on http://127.0.0.1:8080
#   make bench growth-plot demo size format clean
#
# config=release (default for wasm) | debug | sanitize (default for test-c)
#
# Needs make, git, Node 20 and npm; compilers come from c/toolchain.sh.

# V=1 shows the commands.

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SECONDARY:
SHELL := bash
.SHELLFLAGS := -euo pipefail -c

# $(call run,WHAT,COMMAND) runs a command under a short name.
run = $(if $(V),$(2),@echo '  $(1)'; $(2))

config ?=
seconds ?= 60

ifneq ($(filter-out release debug sanitize,$(config)),)
  $(error config is release, debug or sanitize, not $(config))
endif
wasm_config := $(if $(filter debug,$(config)),debug,release)
native_config := $(or $(config),sanitize)

c_sources := $(wildcard c/*.c)
c_headers := $(wildcard c/*.h)
c_objects := $(notdir $(c_sources:.c=.o))
js_sources := $(shell find js types -name '*.ts' | sort)

# Everything but these needs compilers.
ifneq ($(filter-out clean format,$(or $(MAKECMDGOALS),all)),)
  include build/toolchain.mk
endif

.PHONY: all wasm js vectors test test-c test-js test-package test-browser fuzz bench \
  kill tamper users canary nonces growth recall growth-plot demo example size format clean FORCE
FORCE:

all: wasm js
	@$(EMCC) -v 2>&1 | awk '/clang version/ && !seen++'
	@node -e '$(report)'

report = const bytes = fs.readFileSync("build/js/sealvec.wasm"); \
  const gzip = zlib.gzipSync(bytes, { level: 9 }).length; \
  const hash = crypto.createHash("sha256").update(bytes).digest("hex"); \
  console.log(`sealvec.wasm: $${bytes.length} bytes, $${gzip} gzip, SHA-256 $${hash}`)

# ---- toolchain ---------------------------------------------------------------

build/toolchain.mk: FORCE
	@c/toolchain.sh find

# The archive is verified each time; what was unpacked is remade only when the
# script changes.
build/libsodium/ready: FORCE
	@c/toolchain.sh sodium

# What the tests of the ciphers take from elsewhere.
vectors: build/libsodium/ready
	@c/toolchain.sh vectors

# ---- flags -------------------------------------------------------------------

warnings := -Wall -Wextra -Wconversion -Wshadow -Werror
# Contraction would let a*b+c round once on one machine and twice on another,
# and results are defined to the bit.
own_flags := -std=c11 $(warnings) -ffp-contract=off -fno-math-errno \
  -isystem build/libsodium/src/libsodium/include

# A failed assertion would want to print, which the module cannot.
wasm_flags_release := -O3 -DNDEBUG
wasm_flags_debug := -O1 -g2 -DNDEBUG
wasm_flags := $(wasm_flags_$(wasm_config))
simd_flags := -msimd128
portable_flags :=
# Added to the flags of libsodium's files: its SSSE3 ChaCha20 becomes SIMD128.
sodium_simd_flags := -mssse3 -DHAVE_EMMINTRIN_H=1 -DHAVE_TMMINTRIN_H=1
sodium_portable_flags :=

# The stack comes first, so that overflowing it traps instead of overwriting
# data. The heap ends at 4 GB; without MAXIMUM_MEMORY it would at 2.
# wasm-opt would inline whatever has one caller, the kernels too, which V8 makes
# fast only from one call to the next (c/sieve.c).
stack_bytes := 262144
link_flags := --no-entry -sBINARYEN_EXTRA_PASSES=--one-caller-inline-max-function-size=0 \
  -sSTANDALONE_WASM -sALLOW_MEMORY_GROWTH=1 -sMAXIMUM_MEMORY=4GB -sINITIAL_MEMORY=1MB \
  -sFILESYSTEM=0 -sTOTAL_STACK=$(stack_bytes) -sGLOBAL_BASE=$(stack_bytes) -Wl,--stack-first

native_flags_release := -O2 -DNDEBUG
native_flags_debug := -O0 -g
native_flags_sanitize := -O1 -g -fsanitize=address,undefined,fuzzer-no-link \
  -fno-sanitize-recover=all -fno-omit-frame-pointer
native_flags := $(native_flags_$(native_config))
native := build/native/$(native_config)

# ---- wasm --------------------------------------------------------------------

wasm: build/js/sealvec.wasm build/portable.wasm

# The names that types/core.ts declares are the names that are exported.
build/exports: types/core.ts
	@mkdir -p build
	@sed -nE 's/^  (sv_[a-z0-9_]+)\(.*/_\1/p' $< >$@

# $(call wasm_rules,FLAVOUR,OUTPUT): objects in build/wasm/<config>/<flavour>.
define wasm_rules
$(1)_dir := build/wasm/$(wasm_config)/$(1)
$(1)_objects := $$(addprefix $$($(1)_dir)/,$(c_objects))

$$($(1)_dir)/%.o: c/%.c $(c_headers) build/libsodium/ready Makefile
	@mkdir -p $$(@D)
	$$(call run,emcc $$@,$$(EMCC) -c $$(wasm_flags) $$($(1)_flags) $$(own_flags) $$< -o $$@)

$$($(1)_dir)/sodium/.ready: build/libsodium/ready c/toolchain.sh Makefile
	@mkdir -p $$($(1)_dir)
	$$(call run,emcc $$(@D),c/toolchain.sh compile $$(@D) $$(EMCC) $$(wasm_flags) $$($(1)_flags) \
	  $$(sodium_$(1)_flags))
	@touch $$@

$(2): $$($(1)_objects) $$($(1)_dir)/sodium/.ready build/exports build/wasm/$(wasm_config).config
	@mkdir -p $$(@D)
	$$(call run,link $$@,$$(EMCC) $$(wasm_flags) $$($(1)_objects) $$($(1)_dir)/sodium/*.o \
	  $$(link_flags) -sEXPORTED_FUNCTIONS=@build/exports -o $$@.new.wasm)
	@node -e '$$(check_imports)' $$@.new.wasm
	@mv $$@.new.wasm $$@
endef

# A function that nobody defines becomes an import; there may be no other than
# this one, and above all no source of randomness.
check_imports = const module = new WebAssembly.Module(fs.readFileSync(process.argv[1])); \
  for (const { name } of WebAssembly.Module.imports(module)) \
    if (name !== "emscripten_notify_memory_growth") throw new Error("imports " + name)

$(eval $(call wasm_rules,simd,build/js/sealvec.wasm))
$(eval $(call wasm_rules,portable,build/portable.wasm))

# Another configuration links again.
build/wasm/$(wasm_config).config:
	@mkdir -p $(@D) && rm -f build/wasm/*.config && touch $@

# ---- native tests and fuzzers --------------------------------------------------

c_tests := $(patsubst tests/c/%.c,$(native)/%,$(wildcard tests/c/test_*.c))
fuzzers := $(patsubst tests/c/%.c,$(native)/%,$(wildcard tests/c/fuzz_*.c))
native_objects := $(addprefix $(native)/c/,$(c_objects)) $(native)/sodium/.ready

$(native)/c/%.o: c/%.c $(c_headers) build/libsodium/ready Makefile
	@mkdir -p $(@D)
	$(call run,cc $@,$(CLANG) -c $(native_flags) $(own_flags) $< -o $@)

$(native)/sodium/.ready: build/libsodium/ready c/toolchain.sh Makefile
	@mkdir -p $(native)
	$(call run,cc $(@D),c/toolchain.sh compile $(@D) $(CLANG) $(native_flags))
	@touch $@

$(native)/test_%: tests/c/test_%.c $(wildcard tests/c/*.h) $(native_objects)
	$(call run,cc $@,$(CLANG) $(native_flags) $(own_flags) -Ic $< $(filter %.o,$^) \
	  $(native)/sodium/*.o -lm -o $@)

$(native)/fuzz_%: tests/c/fuzz_%.c $(wildcard tests/c/*.h) $(native_objects)
	$(call run,cc $@,$(CLANG) $(native_flags) $(own_flags) -fsanitize=fuzzer -Ic $< \
	  $(filter %.o,$^) $(native)/sodium/*.o -lm -o $@)

test-c: $(c_tests)
	@for program in $^; do echo "  run $$program"; $$program; done

fuzz: $(fuzzers)
	@for program in $^; do \
	  corpus=build/corpus/$${program##*/}; mkdir -p $$corpus; \
	  $$program -max_total_time=$(seconds) $$corpus; \
	done

# ---- JavaScript --------------------------------------------------------------

bin := node_modules/.bin
esbuild := $(bin)/esbuild --log-level=warning --target=es2022

js: build/.checked build/js/.ready dist/.ready dist/types/.ready

node_modules/.ready: package.json package-lock.json
	$(call run,npm ci,npm ci --no-audit --no-fund --loglevel=error)
	@touch $@

build/.checked: node_modules/.ready tsconfig.json $(js_sources)
	$(call run,tsc --noEmit,$(bin)/tsc -p tsconfig.json --noEmit)
	@mkdir -p build && touch $@

# File by file, in the layout of js/, for the tests.
build/js/.ready: node_modules/.ready Makefile $(js_sources)
	@mkdir -p build/js
	$(call run,esbuild build/js,$(esbuild) $(filter js/%,$(js_sources)) --outbase=js \
	  --outdir=build/js --format=esm)
	@touch $@

# What is bundled: the same files, with another platform, other assets and parts in place, and
# with the core and the worker as texts. $(call variant,NAME,FROM:TO ...,WORKER)
define variant
	@rm -rf build/$(1) && cp -r build/js build/$(1)
	@node -e '$(embedded)' build/js/sealvec.wasm dist/$(3).js >build/$(1)/embedded.js
	@cd build/$(1) && for pair in $(2); do mv "$${pair%:*}.js" "$${pair#*:}.js"; done
endef

embedded = const [core, worker] = process.argv.slice(1).map((name) => fs.readFileSync(name)); \
  console.log("export const core = \x27%s\x27;", core.toString("base64")); \
  console.log("export const worker = %s;", JSON.stringify(String(worker)))

# The parts of a page that are loaded late import its entry, whose files are then one: esbuild cuts
# where what is shared begins. It would drop such an import from a package without side effects.
workers := dist/training-worker.js dist/training-worker-node.js
at_once := parts-at-once:parts filtering-at-once:filtering
build/variants: build/js/.ready build/js/sealvec.wasm $(workers) Makefile
	$(call variant,browser,platform-browser:platform assets-browser:assets,training-worker)
	@cd build/browser && for part in reading writing managing training filter-rows; do \
	  { echo 'import "./index.js";'; cat $$part.js; } >$$part.new && mv $$part.new $$part.js; done
	@echo '{ "type": "module" }' >build/browser/package.json
	$(call variant,node,$(at_once),training-worker-node)
	$(call variant,inline,assets-inline:assets $(at_once),training-worker-node)
	$(call variant,browser-inline,platform-browser:platform assets-browser-inline:assets \
	  $(at_once),training-worker)
	@touch $@

bundle := $(esbuild) --bundle --minify --legal-comments=none '--external:node:*'
# CommonJS has no import.meta.url.
file_url := require("node:url").pathToFileURL(__filename).href

$(workers): dist/%.js: build/js/.ready
	@mkdir -p dist
	$(call run,esbuild $@,$(bundle) build/js/$*.js --format=esm --platform=neutral --outfile=$@)

node_cjs := --platform=node --format=cjs --define:import.meta.url=sealvec_file_url \
  '--banner:js="use strict";const sealvec_file_url=$(file_url);'
dist/.ready: build/variants Makefile
	@find dist -maxdepth 1 -name '*.js' ! -name 'training-worker*' -delete
	$(call run,esbuild dist/sealvec.js,$(bundle) build/node/index.js --format=esm \
	  --platform=node --outfile=dist/sealvec.js)
	$(call run,esbuild dist/sealvec.cjs,$(bundle) build/node/index.js $(node_cjs) \
	  --outfile=dist/sealvec.cjs)
	$(call run,esbuild dist/browser.js,$(bundle) browser=build/browser/index.js --format=esm \
	  --platform=browser --splitting --outdir=dist)
	$(call run,esbuild dist/inline.js,$(bundle) build/inline/index.js --format=esm \
	  --platform=node --outfile=dist/inline.js)
	$(call run,esbuild dist/inline.cjs,$(bundle) build/inline/index.js $(node_cjs) \
	  --outfile=dist/inline.cjs)
	$(call run,esbuild dist/inline-browser.js,$(bundle) build/browser-inline/index.js --format=esm \
	  --platform=browser --outfile=dist/inline-browser.js)
	$(call run,esbuild dist/storage-suite.js,$(bundle) build/js/storage/suite.js --format=esm \
	  --platform=neutral --outfile=dist/storage-suite.js)
	@cp build/js/sealvec.wasm dist/sealvec.wasm
	@for name in idb sift; do echo "$$name"; echo; cat node_modules/$$name/*LICENSE*; echo; done \
	  >dist/LICENSES.txt
	@{ echo libsodium; echo; cat build/libsodium/LICENSE; } >>dist/LICENSES.txt
	@touch $@

# Declarations for import and for require: only those that the public ones
# reach, and for require with their own imports renamed.
define declarations
const path = require("node:path"), root = "dist/types/", seen = new Set(); \
const all = fs.readdirSync(root, { recursive: true }).filter((name) => name.endsWith(".d.ts")); \
const specifier = /(["\x27])(\.\.?\/[^"\x27]*)\.js\1/g; \
const visit = (name) => { \
  if (seen.has(name)) return; \
  seen.add(name); \
  const text = fs.readFileSync(root + name, "utf8"); \
  for (const [, , to] of text.matchAll(specifier)) \
    visit(path.posix.join(path.posix.dirname(name), to + ".d.ts")); \
  fs.writeFileSync(root + name.replace(/ts$$/, "cts"), text.replace(specifier, "$$1$$2.cjs$$1")); \
}; \
visit("js/index.d.ts"); \
visit("js/storage/suite.d.ts"); \
for (const name of all) if (!seen.has(name)) fs.rmSync(root + name)
endef

dist/types/.ready: node_modules/.ready tsconfig.json Makefile $(js_sources)
	@rm -rf dist/types
	$(call run,tsc dist/types,$(bin)/tsc -p tsconfig.json --declaration --emitDeclarationOnly \
	  --rootDir . --outDir dist/types)
	@node -e '$(declarations)'
	@touch $@

CHROMIUM ?= /usr/bin/chromium

test: test-c test-js test-package size

test-js: wasm js vectors
	node --test --test-concurrency=2 tests/node/*.test.js

# Pages run in Chromium; where it is not and cannot be installed, their tests say that they were
# skipped.
test-package: wasm js build/packagers/.ready
	@[ -x '$(CHROMIUM)' ] || $(MAKE) --no-print-directory $(CHROMIUM) || true
	CHROMIUM=$(CHROMIUM) node --test tests/package/*.test.js

# The packagers, once for all tests and apart from what the build needs.
build/packagers/.ready: tests/package/packagers/package.json tests/package/packagers/package-lock.json
	@mkdir -p $(@D) && cp $^ $(@D)
	$(call run,npm ci $(@D),cd $(@D) && npm ci --no-audit --no-fund --loglevel=error)
	@touch $@

# In Chromium. full=1: 2,000 writes, 100 kills, 100,000 vectors; ten minutes.
test-browser: wasm js $(CHROMIUM)
	CHROMIUM=$(CHROMIUM) SEALVEC_FULL=$(full) NODE_OPTIONS=--experimental-vm-modules NODE_NO_WARNINGS=1 \
	  $(bin)/jest --config tests/browser/jest.config.js

/usr/bin/chromium:
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
	    apt-get install -y -qq --no-install-recommends chromium >/dev/null; \
	else echo 'Chromium is missing: install it, or name it with CHROMIUM=...' >&2; exit 1; fi

bench: wasm js build/null.wasm
	node tests/bench/bench.js

# A core whose cipher does nothing, to tell what encryption costs; it stays out of dist/.
build/null.wasm: tests/bench/null_aead.c build/js/sealvec.wasm
	$(call run,emcc $@,$(EMCC) $(wasm_flags) $(simd_flags) $(own_flags) $(simd_objects) \
	  $(filter-out %/aead_xchacha20poly1305.o,$(wildcard $(simd_dir)/sodium/*.o)) $< \
	  $(link_flags) -sEXPORTED_FUNCTIONS=@build/exports -o $@)

# Longer runs of checks that `make test` runs in short; SECURITY.md has their last figures.
kill: wasm js
	SEALVEC_FULL=1 node --test --test-reporter=spec tests/node/crash.test.js tests/node/crash-keys.test.js
	KILLS=500 node --test --test-reporter=spec tests/node/kill.test.js

tamper: wasm js
	@TAMPER=all SHARD=0/2 node --test --test-reporter=spec tests/node/tamper.test.js & half=$$!; \
	TAMPER=all SHARD=1/2 node --test --test-reporter=spec tests/node/tamper.test.js; wait $$half

canary: wasm js
	STORES=1000 node --test --test-reporter=spec tests/node/canary.test.js

nonces: wasm js
	NONCES=10000000 node --test --test-reporter=spec tests/node/nonces.test.js

users: wasm js
	OPERATIONS=100000 node --test --test-reporter=spec tests/node/users-model.test.js

growth: wasm js
	GROWTH=10000 node --test --test-reporter=spec tests/node/growth.test.js

recall: wasm js
	node tests/bench/recall.js

growth-plot: wasm js
	node tests/bench/growth.js

demo: wasm js
	node examples/demo.js

# The private-search page. PORT=8080; model=1 lets it fetch an embedding model from the network.
example: wasm js
	@PORT=$(PORT) MODEL=$(model) node examples/private-search/serve.js

size: wasm js
	node tests/bench/size.js

format:
	clang-format --style=Google -i c/*.c c/*.h tests/c/*.c

# Downloads are kept: they are verified by hash whenever they are used.
clean:
	rm -rf dist build/apt build/browser build/browser-inline build/inline build/node \
	  build/js build/libsodium build/packagers build/variants build/llvm-19-bin build/native \
	  build/toolchain.mk build/wasm build/portable.wasm build/null.wasm build/exports build/.checked
