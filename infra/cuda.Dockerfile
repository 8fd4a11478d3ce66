# syntax=docker/dockerfile:1
# The programs on a machine with an NVIDIA GPU: speech runs on it.
#
#   docker build -f infra/cuda.Dockerfile -t segue:1.0.0-cuda .
#   docker run --gpus all …
#
# CUDA_ARCHITECTURES are those of g4dn (75), g5 (86) and g6 (89).

ARG CUDA=12.8.1
ARG UBUNTU=24.04

FROM nvidia/cuda:${CUDA}-devel-ubuntu${UBUNTU} AS build
ARG RUST=1.95.0
ARG CUDA_ARCHITECTURES="75-real;86-real;89-real"
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends build-essential ca-certificates clang cmake curl libclang-dev pkg-config \
    && rm -rf /var/lib/apt/lists/* \
    && curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs \
    | sh -s -- -y --profile minimal --default-toolchain "${RUST}" --no-modify-path
ENV PATH=/root/.cargo/bin:${PATH}
WORKDIR /segue
COPY . .
# the driver's library is there when it runs, and its stub when it is linked; the processor's
# instructions as in cpu.Dockerfile
ENV CMAKE_CUDA_ARCHITECTURES=${CUDA_ARCHITECTURES} \
    GGML_NATIVE=OFF GGML_SSE42=ON GGML_AVX=ON GGML_AVX2=ON GGML_FMA=ON GGML_F16C=ON GGML_BMI2=ON \
    GGML_CPU_ARM_ARCH=armv8.2-a+fp16+dotprod \
    LIBRARY_PATH=/usr/local/cuda/lib64/stubs
RUN --mount=type=cache,target=/root/.cargo/registry \
    --mount=type=cache,target=/segue/target \
    cargo build --release --locked --package segue-cli --package segue-speech \
        --features segue-speech/cuda --bin segue \
    && install -D target/release/segue /out/segue

FROM build AS models
ARG MODELS="base.en"
# names of models, with blanks between them; fetching needs no GPU, only a library by that name
# hadolint ignore=SC2086
RUN ln -s /usr/local/cuda/lib64/stubs/libcuda.so /usr/local/cuda/lib64/stubs/libcuda.so.1 \
    && LD_LIBRARY_PATH=/usr/local/cuda/lib64:/usr/local/cuda/lib64/stubs SEGUE_MODEL_DIR=/models \
        /out/segue models fetch ${MODELS}

FROM nvidia/cuda:${CUDA}-runtime-ubuntu${UBUNTU}
LABEL org.opencontainers.image.title="segue" \
      org.opencontainers.image.description="Splits a video, works on all parts at once, joins them without a seam; with CUDA" \
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
# the driver's programs for speech, for frames in and out, and for nvidia-smi
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,video,utility \
    SEGUE_MODEL_DIR=/usr/share/segue/models \
    SEGUE_SCRATCH=/scratch \
    SEGUE_HEALTH_FILE=/scratch/health \
    TMPDIR=/scratch
USER 10001:10001
WORKDIR /scratch
VOLUME /scratch
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 CMD ["segue", "health"]
ENTRYPOINT ["segue"]
CMD ["worker", "--roles", "gpu-worker"]
