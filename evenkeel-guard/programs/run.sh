#!/usr/bin/env bash
# Builds the programs as the guard's README asks for (release, line tables), runs each with clients, and a test suite
# on 16 threads again and again.
# Usage: run.sh [--ci] [--suites N]
#   --ci       axum and hyper only, and half as many suites: what a change of the guard is tried with
#   --suites   runs of the suite; 20 unless told, 10 with --ci
set -euo pipefail
cd "$(dirname "$0")"

suites="" features=(--features actix,command,web) ordinary=20
while [ $# -gt 0 ]; do
  case $1 in
    --ci) features=(--features web) ordinary=10 ;;
    --suites) suites=$2; shift ;;
    *) echo "what is \`$1\`? --ci, --suites N" >&2; exit 64 ;;
  esac
  shift
done
suites=${suites:-$ordinary}

begun=$SECONDS
cargo test --release --no-default-features "${features[@]}" --no-run
echo "programs: built in $((SECONDS - begun)) s"
timeout 600 cargo test --release --no-default-features "${features[@]}" --test programs
failed=0
for _ in $(seq "$suites"); do
  timeout 300 cargo test --quiet --release --no-default-features "${features[@]}" --test suite -- --test-threads 16 ||
    failed=$((failed + 1))
done
echo "suite on 16 threads: $suites runs, $failed failed"
[ "$failed" = 0 ]
