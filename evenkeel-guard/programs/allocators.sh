#!/usr/bin/env bash
# Runs the program `allocators` under each allocator, as the global one and preloaded, and prints one table.
# Usage: allocators.sh [--seconds N] [--runs N] [--only WORD] [--quick] [--unwatched]
#   --seconds    of each run; 25 unless told. 1200 is the 20 minutes that the README speaks of.
#   --runs       of each set-up; 1 unless told
#   --only       set-ups whose line has this word: `jemalloc`, `preloaded`, `small`, `arenas=1,cache=0`
#   --quick      the two worst set-ups of each allocator, and no C++ to compile
#   --unwatched  the control: the same without the guard
# Ends with 0 when nothing hung or crashed, and nobody was reported for a lock of the allocator's own.
# Hangs: no vector for ten seconds (a twentieth of the time, where that is more), or no end long after the time.
set -euo pipefail
cd "$(dirname "$0")"

seconds=25 runs=1 only="" quick="" more=()
while [ $# -gt 0 ]; do
  case $1 in
    --seconds) seconds=$2; shift ;;
    --runs) runs=$2; shift ;;
    --only) only=$2; shift ;;
    --quick) quick=yes ;;
    --unwatched) more=(--unwatched) ;;
    *) echo "what is \`$1\`? --seconds N, --runs N, --only WORD, --quick, --unwatched" >&2; exit 64 ;;
  esac
  shift
done

# The packages of Debian that have an allocator to preload. Without root, or elsewhere, install them by hand.
library() {
  local found
  found=$(ldconfig -p | awk -v name="$1" '$1 ~ "^"name {print $NF; exit}')
  if [ -z "$found" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    (apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$2") >/dev/null 2>&1 || true
    found=$(ldconfig -p | awk -v name="$1" '$1 ~ "^"name {print $NF; exit}')
  fi
  echo "$found"
}

built="${CARGO_TARGET_DIR:-target}/allocators"
mkdir -p "$built"
declare -A is_built
# The program with an allocator as its global one, or with the system's; built when the first row needs it.
build() {
  if [ -n "${is_built[$1]:-}" ]; then return 0; fi
  cargo build --quiet --release --no-default-features --features "allocators,${1#system}" --bin allocators
  cp "${CARGO_TARGET_DIR:-target}/release/allocators" "$built/$1"
  is_built[$1]=yes
}

failed=0
row() { # name, program, environment, what the tasks do
  local name=$1 program=$2 environment=$3 setup=$4
  local line="$name, $setup"
  case $line in *"$only"*) ;; *) return 0 ;; esac
  if [ -n "$quick" ]; then case $setup in small | blocking) ;; *) return 0 ;; esac; fi
  build "$program"
  local hangs=0 crashes=0 wronged=0 last=""
  for _ in $(seq "$runs"); do
    local code=0
    # shellcheck disable=SC2086 # a list of settings
    env $environment timeout --kill-after=5 $((seconds + 60)) "$built/$program" --seconds "$seconds" --setup "$setup" \
      ${more[@]+"${more[@]}"} >"$built/out" 2>&1 || code=$?
    case $code in
      0) ;;
      2 | 124 | 137) hangs=$((hangs + 1)); last=$(head -1 "$built/out") ;;
      3) wronged=$((wronged + 1)); last=$(sed -n '4s/^ *//p' "$built/out" | cut -c 1-100) ;;
      *) crashes=$((crashes + 1)); last="exit code $code, $(head -1 "$built/out")" ;;
    esac
  done
  if [ $((hangs + crashes + wronged)) -gt 0 ]; then failed=1; fi
  printf '%-52s %5s %6s %8s %8s  %s\n' "$line" "$runs" "$hangs" "$crashes" "$wronged" "$last"
}

setups=(small large threads blocking watch strict)
printf '%-52s %5s %6s %8s %8s\n' "set-up ($seconds s a run${more:+, unwatched})" runs hangs crashes wronged

for setup in "${setups[@]}"; do row "system" system "" "$setup"; done
for setup in "${setups[@]}"; do row "system, arenas=1,cache=0" system "MALLOC_ARENA_MAX=1 GLIBC_TUNABLES=glibc.malloc.tcache_count=0" "$setup"; done
while read -r name prefix package settings; do
  path=$(library "$prefix" "$package")
  if [ -z "$path" ]; then
    echo "$name, preloaded: no $prefix here. Install it: apt-get install $package"
    continue
  fi
  for setup in "${setups[@]}"; do
    row "$name, preloaded" system "LD_PRELOAD=$path" "$setup"
    [ "$settings" = - ] || row "$name, preloaded, arenas=1,cache=0" system "LD_PRELOAD=$path $settings" "$setup"
  done
done <<'LIBRARIES'
jemalloc libjemalloc.so libjemalloc2 MALLOC_CONF=narenas:1,tcache:false
mimalloc libmimalloc.so libmimalloc2.0 -
tcmalloc libtcmalloc_minimal.so libtcmalloc-minimal4 TCMALLOC_MAX_TOTAL_THREAD_CACHE_BYTES=1
LIBRARIES

for setup in "${setups[@]}"; do
  row "jemalloc, global" jemalloc "" "$setup"
  row "jemalloc, global, arenas=1" jemalloc "_RJEM_MALLOC_CONF=narenas:1" "$setup"
  row "jemalloc, global, arenas=1,cache=0" jemalloc "_RJEM_MALLOC_CONF=narenas:1,tcache:false" "$setup"
done
for setup in "${setups[@]}"; do row "mimalloc, global" mimalloc "" "$setup"; done
if [ -z "$quick" ]; then
  for setup in "${setups[@]}"; do row "tcmalloc, global" tcmalloc "" "$setup"; done
fi
exit "$failed"
