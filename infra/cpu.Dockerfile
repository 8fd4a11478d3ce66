# syntax=docker/dockerfile:1
# The programs on a machine without a GPU: every role, and the command line.
#
#   docker build -f infra/cpu.Dockerfile -t segue:1.0.0 .
#
# Runs as an unprivileged user, writes to /scratch alone (docker run --read-only), and holds
# the speech models that MODELS names, so that a worker that starts fetches nothing.

FROM rust:1.95-trixie AS build
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends clang cmake libclang-dev pkg-config \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /segue
COPY . .
# runs on every x86_64 (AVX2, 2013 on) or arm64 (Graviton2 on) that the cloud has, not only on the
# one that built it; without NATIVE, ggml leaves out all that is not named, and is 7 times slower
ENV GGML_NATIVE=OFF GGML_SSE42=ON GGML_AVX=ON GGML_AVX2=ON GGML_FMA=ON GGML_F16C=ON GGML_BMI2=ON \
    GGML_CPU_ARM_ARCH=armv8.2-a+fp16+dotprod
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/segue/target \
    cargo build --release --locked --package segue-cli --bin segue \
    && install -D target/release/segue /out/segue

FROM build AS models
ARG MODELS="base.en"
# names of models, with blanks between them
# hadolint ignore=SC2086
RUN SEGUE_MODEL_DIR=/models /out/segue models fetch ${MODELS}

FROM debian:trixie-slim
LABEL org.opencontainers.image.title="segue" \
      org.opencontainers.image.description="Splits a video, works on all parts at once, joins them without a seam" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates ffmpeg \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 segue \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /scratch --shell /usr/sbin/nologin segue \
    && install -d -o 10001 -g 10001 -m 0750 /scratch
COPY --from=models /models /usr/share/segue/models
COPY --from=build /out/segue /usr/local/bin/segue
ENV SEGUE_MODEL_DIR=/usr/share/segue/models \
    SEGUE_SCRATCH=/scratch \
    SEGUE_HEALTH_FILE=/scratch/health \
    TMPDIR=/scratch
USER 10001:10001
WORKDIR /scratch
VOLUME /scratch
# TERM drains: what is held is given back within 30 s
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 CMD ["segue", "health"]
ENTRYPOINT ["segue"]
CMD ["worker"]
