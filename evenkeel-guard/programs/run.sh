#!/usr/bin/env bash
# Builds the programs as the guard's README asks for (release, line tables), runs each with clients, and a test suite
# on 16 threads again and again.
# Usage: run.sh [--suites N]     runs of the suite; 10 unless told
set -euo pipefail
cd "$(dirname "$0")"

suites=10
while [ $# -gt 0 ]; do
  case $1 in
    --suites) suites=$2; shift ;;
    *) echo "what is \`$1\`? --suites N" >&2; exit 64 ;;
  esac
  shift
done

begun=$SECONDS
cargo build --release --bins
echo "programs: built in $((SECONDS - begun)) s"
begun=$SECONDS
cargo test --release --no-run
echo "programs: tests built in $((SECONDS - begun)) s"
timeout 600 cargo test --release --test programs
failed=0
for _ in $(seq "$suites"); do
  timeout 300 cargo test --quiet --release --test suite -- --test-threads 16 || failed=$((failed + 1))
done
echo "suite on 16 threads: $suites runs, $failed failed"
[ "$failed" = 0 ]
