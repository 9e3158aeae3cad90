#!/bin/sh
# What `cargo xtask fuzz` puts before rustc for this workspace's own crates: it makes libFuzzer see which of their
# branches an input takes. These are the flags that cargo-fuzz sets too, but on the stable toolchain, without a
# sanitizer, and without building every dependency anew. Build scripts run while building and stay as they are.
case " $* " in
    *" build_script_build "*) exec "$@" ;;
esac
exec "$@" \
    --cfg fuzzing \
    -Ccodegen-units=1 \
    -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares
