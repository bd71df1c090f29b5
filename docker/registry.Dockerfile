# syntax=docker/dockerfile:1
# The registry and its command line: two programs and nothing to compile with.
#
#   docker build --file docker/registry.Dockerfile --tag swarm-registry .
#   docker compose --file docker/compose.dev.yaml up
#
# Stages: builder -> runtime.

FROM rust:1.95-slim-bookworm AS builder
WORKDIR /src
COPY Cargo.toml Cargo.lock rustfmt.toml ./
COPY .cargo .cargo
COPY packages packages
RUN cargo build --locked --release --package swarm_registry --package csactl

FROM debian:bookworm-slim AS runtime
# curl asks for the health; pg_dump and pg_restore are csactl's, for backups of PostgreSQL 15.
# Versions of Debian packages are those of the base image's release: pinning them breaks the build at every security update.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates curl postgresql-client-15 \
 && rm -rf /var/lib/apt/lists/* \
 && groupadd --gid 1000 swarm \
 && useradd --uid 1000 --gid swarm --home-dir /var/lib/swarm_registry --create-home --shell /usr/sbin/nologin swarm
COPY --from=builder /src/target/release/swarm_registry /src/target/release/csactl /usr/local/bin/
ENV REGISTRY_DATA_PATH=/var/lib/swarm_registry
USER 1000:1000
WORKDIR /var/lib/swarm_registry
VOLUME ["/var/lib/swarm_registry"]
EXPOSE 8080
# The program answers. Where it speaks TLS, the one who starts it says so: see compose.prod.yaml.
HEALTHCHECK --interval=30s --timeout=10s --start-period=5s --retries=3 \
  CMD ["curl", "--fail", "--silent", "--show-error", "--output", "/dev/null", "http://127.0.0.1:8080/health"]
# Ends within 25 seconds of SIGTERM, after the requests that are under way.
STOPSIGNAL SIGTERM
ENTRYPOINT ["swarm_registry"]
