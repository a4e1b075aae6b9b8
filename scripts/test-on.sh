#!/usr/bin/env bash
# Tests as another processor would run them, without the vector units that it lacks: QEMU stands in for it.
#
#   scripts/test-on.sh avx2 test/tiny.test.ts src/steps
#
# The first word is avx2 (no AVX-512), avx (no AVX2 and no fused multiply-add), sse (no AVX), or a model of
# `qemu-x86_64 -cpu help`. The rest goes to vitest. Ten to fifty times slower than the processor itself, so name files.
# Processes that a test starts run on the processor itself: what is end to end is not for this.
set -euo pipefail
cd "$(dirname "$0")/.."

emulator=$(command -v qemu-x86_64 || command -v qemu-x86_64-static) || {
  echo "qemu-x86_64 is missing: it is in the package qemu-user of Debian, Ubuntu and Fedora" >&2
  exit 1
}
[ $# -ge 2 ] || {
  sed -n '2,9s/^# \{0,1\}//p' "$0" >&2
  exit 2
}
case $1 in
  avx2) cpu=max ;; # QEMU knows no AVX-512
  avx) cpu=max,-avx2,-fma,-f16c ;;
  sse) cpu=max,-avx,-avx2,-fma,-f16c ;;
  *) cpu=$1 ;;
esac
shift

# threads, not processes: a process would start on the processor itself
exec "$emulator" -cpu "$cpu" "$(command -v node)" node_modules/vitest/vitest.mjs run \
  --pool=threads --no-file-parallelism --testTimeout=1200000 --hookTimeout=1200000 "$@"
