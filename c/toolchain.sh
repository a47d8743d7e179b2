#!/usr/bin/env bash
# toolchain.sh: the compilers, libsodium, and test vectors.
#
#   toolchain.sh find               writes build/toolchain.mk, which names emcc
#                                   and a native clang with sanitizers;
#                                   installs them on Debian and Ubuntu
#   toolchain.sh sodium             unpacks the pinned libsodium into
#                                   build/libsodium
#   toolchain.sh vectors            fetches Project Wycheproof's test vectors
#                                   into build/download/wycheproof
#   toolchain.sh compile OUT CC...  compiles the files of libsodium that are
#                                   used into OUT/*.o with the command CC...
#
# 1. emcc is used as found when its clang is 16 or newer. Debian 12 has clang
#    14, which miscompiles SIMD code to wasm (libsodium's ChaCha20 comes out
#    with a wrong keystream from 256 bytes on); its emcc 3.1.6 drives clang 19
#    when EM_LLVM_ROOT names a folder of links to it, each under its own name
#    and with -14 appended.
# 2. libsodium is never kept in this repository. It is fetched as a source
#    package, or the same archive from its release page, and nothing is
#    unpacked whose SHA-256 is not the one pinned below.
# 3. The fix of CVE-2025-69277 (a point check in Ed25519) comes with Debian's
#    patch, or is made here where there is no Debian; the fixed file has one
#    pinned SHA-256, so both ways end in the same source.
# 4. libsodium is compiled from a list of its files, without its configure
#    script and its detection of the CPU, so the native objects that the
#    sanitizers see are built from the same code as the wasm.
# 5. Project Wycheproof's vectors (Apache-2.0) are not kept here either. Debian
#    has them inside a source package; elsewhere they come from the project's
#    repository, at the commit that the package names. Each file has one
#    pinned SHA-256.
set -euo pipefail
cd "$(dirname "$0")/.."

version=1.0.18
package=libsodium=1.0.18-1+deb12u1
archive=libsodium_1.0.18.orig.tar.gz
archive_sha256=d59323c6b712a1519a5daf710b68f5e7fde57040845ffec53850911f10a5d4f4
patches=libsodium_1.0.18-1+deb12u1.debian.tar.xz
patches_sha256=f410474e46346b06b162defa05b1be26906aeed6cf309e3d4ebe30b4d1350733
fixed=src/libsodium/crypto_core/ed25519/ref10/ed25519_ref10.c
fixed_sha256=40291bba865beab9817381460cda1d977a106c11cf4c393f854e25979d84bfc7
release=https://github.com/jedisct1/libsodium/archive/refs/tags/$version.tar.gz

vectors_package=android-platform-external-boringssl=13.0.0+r24-2
vectors_archive=android-platform-external-boringssl_13.0.0+r24.orig.tar.xz
vectors_release=https://raw.githubusercontent.com/C2SP/wycheproof/eb35c25e05d17dc05fdf42f40ff4cbb3a959c096/testvectors
vectors_files="
  chacha20_poly1305_test.json:4b5ef399f956214227da549c8a84d9d097538c00a3d131de5748ad8508105aec
  eddsa_test.json:a77b00e6399d13da54d28f4b4f26995977bf8a9780e5756a1c0fce85d260e041
  xchacha20_poly1305_test.json:1782aca3a5e185c52fd576b96867e811e24a57bf48234bb9f713742b530394e9
"

downloads=build/download
llvm=/usr/lib/llvm-19/bin

sodium_files="
  crypto_aead/xchacha20poly1305/sodium/aead_xchacha20poly1305.c
  crypto_core/ed25519/ref10/ed25519_ref10.c
  crypto_core/hchacha20/core_hchacha20.c
  crypto_generichash/blake2b/ref/blake2b-compress-ref.c
  crypto_generichash/blake2b/ref/blake2b-compress-ssse3.c
  crypto_generichash/blake2b/ref/blake2b-ref.c
  crypto_generichash/blake2b/ref/generichash_blake2b.c
  crypto_hash/sha512/cp/hash_sha512_cp.c
  crypto_onetimeauth/poly1305/donna/poly1305_donna.c
  crypto_onetimeauth/poly1305/onetimeauth_poly1305.c
  crypto_pwhash/argon2/argon2-core.c
  crypto_pwhash/argon2/argon2-encoding.c
  crypto_pwhash/argon2/argon2-fill-block-ref.c
  crypto_pwhash/argon2/argon2-fill-block-ssse3.c
  crypto_pwhash/argon2/argon2.c
  crypto_pwhash/argon2/blake2b-long.c
  crypto_pwhash/argon2/pwhash_argon2id.c
  crypto_shorthash/siphash24/ref/shorthash_siphash24_ref.c
  crypto_sign/ed25519/ref10/keypair.c
  crypto_sign/ed25519/ref10/open.c
  crypto_sign/ed25519/ref10/sign.c
  crypto_stream/chacha20/dolbeau/chacha20_dolbeau-ssse3.c
  crypto_stream/chacha20/ref/chacha20_ref.c
  crypto_stream/chacha20/stream_chacha20.c
  crypto_verify/sodium/verify.c
  sodium/codecs.c
  sodium/utils.c
"

say() { echo "toolchain: $*" >&2; }
fail() { say "$@"; exit 1; }

# ---- compilers ---------------------------------------------------------------

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

can_install() {
  command -v apt-get >/dev/null && { [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; }
}

install_packages() {
  can_install || return 1
  say "installing $*"
  apt-cache show "$@" >/dev/null 2>&1 || as_root apt-get -qq update
  as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get -qq -y --no-install-recommends install "$@" >/dev/null
}

# clang_of prints the major version of the clang that an emcc drives.
clang_of() {
  "$1" -v 2>&1 | sed -n 's/.*clang version \([0-9]*\).*/\1/p' | head -n 1
}

link_llvm() {
  local tool name
  mkdir -p build/llvm-19-bin
  for tool in "$llvm"/*; do
    name=build/llvm-19-bin/${tool##*/}
    ln -sfn "$tool" "$name"
    ln -sfn "$tool" "$name-14"
  done
}

# use_found sets emcc (the program) and emcc_command (how to run it) when the
# one found is new enough.
use_found() {
  emcc=$(command -v emcc) && [ "$(clang_of "$emcc")" -ge 16 ] 2>/dev/null || return 1
  emcc_command="env EM_CACHE=\$(CURDIR)/build/em-cache $emcc"
  # Debian's comes with its libraries built and its cache frozen.
  if [ -d /usr/share/emscripten/cache ] && [ "$emcc" = /usr/bin/emcc ]; then emcc_command=$emcc; fi
}

find_emcc() {
  use_found && return
  [ -x /usr/bin/emcc ] && [ -x $llvm/clang ] && [ -x $llvm/wasm-ld ] && [ -x $llvm/llvm-ar ] ||
    install_packages emscripten clang-19 lld-19 llvm-19 ||
    fail "no emcc with clang 16 or newer: install emsdk (https://emscripten.org) and run make again"
  use_found && return
  emcc=/usr/bin/emcc
  link_llvm
  # It looks for acorn among Debian's own Node packages.
  emcc_command="env EM_LLVM_ROOT=\$(CURDIR)/build/llvm-19-bin NODE_PATH=/usr/share/nodejs $emcc"
}

has_sanitizers() {
  [ -n "$1" ] && echo 'int main(void) { return 0; }' |
    "$1" -fsanitize=address,undefined -x c - -o build/probe 2>/dev/null && rm -f build/probe
}

# find_clang sets clang, for the native tests; without one they cannot run,
# everything else can.
find_clang() {
  for clang in "$(command -v clang-19 || true)" "$(command -v clang || true)"; do
    has_sanitizers "$clang" && return
  done
  install_packages clang-19 libclang-rt-19-dev ||
    say "no clang with sanitizers: make test-c will fail"
  clang=$(command -v clang-19 || echo clang)
}

find_compilers() {
  local found=build/toolchain.mk emcc_was clang_was
  mkdir -p build
  if [ $found -nt c/toolchain.sh ]; then
    read -r _ emcc_was clang_was <$found
    [ "$emcc_was" = "$(command -v emcc)" ] && [ -x "$clang_was" ] &&
      { ! grep -q llvm-19-bin $found || [ -x build/llvm-19-bin/wasm-ld-14 ]; } && return
  fi
  find_emcc
  find_clang
  printf '# %s %s\nEMCC := %s\nCLANG := %s\n' "$emcc" "$clang" "$emcc_command" "$clang" >$found.$$
  mv $found.$$ $found
}

# ---- libsodium ---------------------------------------------------------------

sha256() {
  if command -v sha256sum >/dev/null; then sha256sum "$1"; else shasum -a 256 "$1"; fi |
    cut -d ' ' -f 1
}

is() { [ -f "$1" ] && [ "$(sha256 "$1")" = "$2" ]; }

# source_lists writes the system's own package sources, asking for source
# packages, to a folder.
source_lists() {
  local list parts file
  eval "$(apt-config shell list Dir::Etc::sourcelist/f parts Dir::Etc::sourceparts/d)"
  for file in "$list" "$parts"/*.list "$parts"/*.sources; do
    [ -f "$file" ] || continue
    case $file in
      *.sources) sed 's/^Types:.*/Types: deb-src/' "$file" ;;
      *) sed -n 's/^deb /deb-src /p' "$file" ;;
    esac >"$1/${file##*/}"
  done
}

# fetch_package FOLDER NAME... downloads the first of some source packages that
# is to be had; the system's lists stay as they are. What arrives is judged by
# its hash, by the caller.
fetch_package() {
  local apt name folder=$1 root=$PWD/build/apt
  shift
  command -v apt-get >/dev/null || return 1
  rm -rf "$root"
  mkdir -p "$root/parts" "$root/lists/partial"
  source_lists "$root/parts"
  apt="apt-get -qq -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts=$root/parts
    -o Dir::State::lists=$root/lists -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=
    -o APT::Sandbox::User=$(id -un)"
  $apt update >/dev/null 2>&1 || true
  (cd "$folder" && for name in "$@"; do
    $apt source --download-only $name && break
  done) >/dev/null 2>&1 || true
  rm -rf "$root"
}

# fetch_release URL FILE
fetch_release() {
  say "fetching $1"
  if command -v curl >/dev/null; then curl -fsSL "$1" -o "$2"; else wget -q "$1" -O "$2"; fi
}

fetch() {
  mkdir -p $downloads
  is $downloads/$archive $archive_sha256 && return
  rm -f $downloads/libsodium_*
  fetch_package $downloads $package libsodium || true
  is $downloads/$archive $archive_sha256 || fetch_release "$release" $downloads/$archive || true
  is $downloads/$archive $archive_sha256 ||
    fail "no libsodium $version with SHA-256 $archive_sha256"
}

apply_fix() {
  if is $downloads/$patches $patches_sha256 && command -v patch xz >/dev/null; then
    mkdir "$1/debian-patch"
    tar -xf $downloads/$patches -C "$1/debian-patch"
    patch -s -p1 -d "$1" <"$1/debian-patch/debian/patches/CVE-2025-69277.patch"
  else
    awk '/^ge25519_is_on_main_subgroup/ { inside = 1 }
      /^}/ { inside = 0 }
      inside && /return fe25519_iszero\(pl.X\);/ {
        print "    fe25519_sub(t, pl.Y, pl.Z);\n"
        $0 = "    return fe25519_iszero(pl.X) & fe25519_iszero(t);"
      }
      { print }
      inside && /ge25519_p3 pl;/ { print "    fe25519    t;" }' "$1/$fixed" >"$1/fixed.c"
    mv "$1/fixed.c" "$1/$fixed"
  fi
  is "$1/$fixed" $fixed_sha256 || fail "$fixed is not as expected after its fix"
}

unpack() {
  local out=build/libsodium new=build/libsodium.$$
  fetch
  [ -f $out/ready ] && [ ! c/toolchain.sh -nt $out/ready ] && return
  mkdir -p $new
  tar -xzf $downloads/$archive -C $new --strip-components=1
  apply_fix $new
  cp $new/builds/msvc/version.h $new/src/libsodium/include/sodium/version.h
  touch $new/ready
  rm -rf $out
  mv $new $out
}

compile() {
  local out=$1 src=$PWD/build/libsodium/src/libsodium new=$1.$$ file files=()
  shift
  for file in $sodium_files; do files+=("$src/$file"); done
  # HAVE_WEAK_SYMBOLS lets sodium_memzero be memset behind a call that no
  # compiler may drop, in place of a loop over volatile bytes.
  set -- "$@" -c -std=c99 -w -DCONFIGURED=1 -DSODIUM_STATIC=1 -DNATIVE_LITTLE_ENDIAN=1 \
    -DHAVE_WEAK_SYMBOLS=1 -I"$src/include/sodium" -I"$src/include"
  mkdir -p "$new"
  # Ed25519 small: an index that is opened verifies two signatures, and V8 would
  # spend ten times as long on optimising what the larger code inlines.
  (cd "$new" && "$@" "${files[@]}" && "$@" -Os "$src/${fixed#src/libsodium/}")
  rm -rf "$out"
  mv "$new" "$out"
}

# ---- test vectors ------------------------------------------------------------

# take_vectors FOLDER keeps those files in it that are as they must be.
take_vectors() {
  local file
  for file in $vectors_files; do
    is "$1/${file%%:*}" "${file##*:}" || return 1
  done
  [ "$1" = $downloads/wycheproof ] && return
  mkdir -p $downloads/wycheproof
  for file in $vectors_files; do mv "$1/${file%%:*}" $downloads/wycheproof; done
}

# The package is 29 MB, of which half a megabyte is kept.
fetch_vectors() {
  local file new=$1
  fetch_package "$new" $vectors_package
  tar -xf "$new/$vectors_archive" -C "$new" --transform 's:.*/::' --wildcards \
    '*/wycheproof_testvectors/*poly1305_test.json' '*/wycheproof_testvectors/eddsa_test.json' \
    2>/dev/null && take_vectors "$new" && return
  for file in $vectors_files; do
    fetch_release "$vectors_release/${file%%:*}" "$new/${file%%:*}" || return
  done
  take_vectors "$new"
}

vectors() {
  local new=$PWD/build/vectors.$$
  take_vectors $downloads/wycheproof && return
  say "fetching Project Wycheproof's test vectors"
  mkdir -p "$new"
  fetch_vectors "$new" || { rm -rf "$new"; fail "no test vectors with the pinned SHA-256"; }
  rm -rf "$new"
}

case ${1:-} in
  find) find_compilers ;;
  sodium) unpack ;;
  vectors) vectors ;;
  compile) shift; compile "$@" ;;
  *) fail "usage: toolchain.sh find | sodium | vectors | compile OUT CC..." ;;
esac
