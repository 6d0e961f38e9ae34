# One container, the whole pipe: docs/DEPLOY.md. Needs BuildKit, buildah or podman (cache mounts).
#
#   docker build -t mailroom .
#   docker run --rm -e MAILROOM_DATABASE_URL=… mailroom migrate up
#   docker run -e MAILROOM_DATABASE_URL=… -e MAILROOM_SECRET_KEY=… --stop-timeout 65 mailroom

FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
# What was compiled stays in the cache, by which a second build takes only what changed; the three
# programs come out in /src/bin.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/src/target,sharing=locked \
    make release && mkdir /state

# glibc, libgcc, the public certificate authorities, an unprivileged user; no shell, no package manager.
FROM gcr.io/distroless/cc-debian12:nonroot
LABEL org.opencontainers.image.title="Mailroom" \
      org.opencontainers.image.description="Account lifecycle mail, straight from PostgreSQL" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
COPY --from=build /src/bin/ /usr/local/bin/
# For `templates push` and as a start for one's own; the programs have these built in.
COPY templates/ /usr/share/mailroom/templates/
COPY LICENSE-MIT LICENSE-APACHE /usr/share/doc/mailroom/
# What SES refused is kept in ./output, what MAILROOM_TRANSPORT=file writes in ./mail.
COPY --from=build --chown=65532:65532 /state/ /var/lib/mailroom/
WORKDIR /var/lib/mailroom
# A number, so that Kubernetes can see that it is not root.
USER 65532:65532
# `mailroom serve`: within a container, loopback is nobody's.
ENV MAILROOM_SERVE_ADDR=0.0.0.0:9464
EXPOSE 9464
STOPSIGNAL SIGTERM
# Red while the database is away or due mail lies for too long.
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s --retries=3 CMD ["mailroom", "ready"]
ENTRYPOINT ["mailroom"]
CMD ["run"]
