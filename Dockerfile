# syntax=docker/dockerfile:1
#
# Both programs, one image each:
#
#     docker build --target receiver --tag apollo-receiver .
#     docker build --target worker --tag apollo-worker .
#
# They are compiled together in one stage, so the second build costs nothing. Compiled dependencies stay in BuildKit's
# cache mounts between builds; a change in one crate compiles that crate and what uses it.

FROM rust:1.95-slim-bookworm AS build
WORKDIR /source
# aws-lc-sys and zstd-sys compile C and assembly with the gcc of this image. On Linux aws-lc-sys has its bindings ready
# for x86-64 and ARM64, so neither cmake nor libclang is needed, and nothing is installed.
# Cargo wants every member of the workspace to exist, those too that no image holds.
COPY Cargo.toml Cargo.lock ./
COPY migrations migrations
COPY shared shared
COPY receiver receiver
COPY worker worker
COPY simulator simulator
COPY xtask xtask
COPY tests tests
COPY bench bench
COPY fuzz fuzz
# The target folder is a mount that is not part of the image, so the programs are copied out of it in the same step.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/source/target,sharing=locked \
    cargo build --release --locked --package apollo-receiver --package apollo-worker \
    && install -D --target-directory=/programs target/release/apollo-receiver target/release/apollo-worker

FROM debian:bookworm-slim AS runtime
# The certificate authorities are for TLS to Garmin; nothing else is needed at run time, a shell neither.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 apollo \
    && useradd --uid 10001 --gid apollo --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin apollo
COPY LICENSE-MIT LICENSE-APACHE /usr/share/doc/apollo/
LABEL org.opencontainers.image.licenses="MIT OR Apache-2.0"
# A container's own loopback address is reachable by nobody, so the programs listen everywhere inside it; compose's
# networks decide who gets there. The logs are for machines.
ENV LOG__FORMAT=json

FROM runtime AS receiver
# A new volume takes over the owner of the folder that it is mounted on.
RUN install --directory --owner=apollo --group=apollo --mode=0700 /var/lib/apollo/spool
COPY --from=build /programs/apollo-receiver /usr/local/bin/
ENV RECEIVER__LISTEN=0.0.0.0:8000 \
    RECEIVER__ADMIN_LISTEN=0.0.0.0:8001 \
    RECEIVER__SPOOL_DIR=/var/lib/apollo/spool
USER 10001:10001
EXPOSE 8000 8001
VOLUME /var/lib/apollo/spool
ENTRYPOINT ["apollo-receiver"]

FROM runtime AS worker
COPY --from=build /programs/apollo-worker /usr/local/bin/
ENV WORKER__ADMIN_LISTEN=0.0.0.0:8002
USER 10001:10001
EXPOSE 8002
ENTRYPOINT ["apollo-worker"]
CMD ["serve"]
