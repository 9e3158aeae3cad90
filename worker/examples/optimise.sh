#!/bin/sh
# What `cargo xtask instructions` puts before rustc for this workspace's own crates: the worker's instructions are nearly
# those of a release then, while all dependencies are those of the ordinary build and are not built anew.
# Cargo does not see that this file has changed; `cargo clean --package apollo-worker` makes it look anew.
case " $* " in
    *" --crate-name apollo_worker "* | *" --crate-name instructions "*) exec "$@" -Copt-level=2 -Ccodegen-units=8 ;;
esac
exec "$@"
