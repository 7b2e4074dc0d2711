# One Dockerfile, two images: `worker` (the default) and `demo` (adds the real shopping data that the demo replays).
#
#   docker build -t upwell .                                     CPU
#   docker build -t upwell:gpu --build-arg EXTRA=gpu .           NVIDIA GPU; run it with --gpus all
#   docker build -t upwell:demo --target demo .
#
# The encoder's model is fetched and built here, at image build, not at first start: every replica has the same bytes,
# a worker starts in seconds and without a network, and nothing is downloaded at run time without being asked.

FROM python:3.11-slim-bookworm AS builder
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ \
    && rm -rf /var/lib/apt/lists/*
RUN pip install --no-cache-dir uv==0.13.9
ENV UV_PROJECT_ENVIRONMENT=/opt/upwell/venv \
    UV_NO_CACHE=1 \
    UV_COMPILE_BYTECODE=1 \
    UV_PYTHON_DOWNLOADS=never \
    UPWELL_CACHE_DIR=/opt/upwell/cache
WORKDIR /src

# hnswlib is compiled from source. Its own default is the builder's processor, which the servers may not have; the
# baseline of x86-64-v3 (AVX2, 2013) gives nearly the same speed. MARCH= (empty) runs on anything.
ARG TARGETARCH
ARG MARCH=x86-64-v3
# cpu or gpu: which onnxruntime.
ARG EXTRA=cpu
COPY pyproject.toml uv.lock README.md LICENSE ./
RUN if [ "${TARGETARCH:-amd64}" = amd64 ] && [ -n "${MARCH}" ]; then export CXXFLAGS="-march=${MARCH}"; fi \
    && HNSWLIB_NO_NATIVE=1 uv sync --frozen --no-install-project --extra "${EXTRA}" --extra avro --extra jwt --extra otel
COPY streams streams
COPY encoders encoders
COPY index index
RUN uv sync --frozen --inexact --no-editable --extra "${EXTRA}" --extra avro --extra jwt --extra otel

# A known model's name (`upwell model list`).
ARG MODEL=all-MiniLM-L6-v2
RUN /opt/upwell/venv/bin/upwell model build "${MODEL}" \
    && rm -rf "${UPWELL_CACHE_DIR}/sources"

FROM builder AS demo-builder
ARG EXTRA=cpu
RUN uv sync --frozen --inexact --no-editable --extra "${EXTRA}" --extra demo

FROM python:3.11-slim-bookworm AS runtime
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin upwell \
    && install --directory --owner=upwell --mode=0750 /var/lib/upwell \
    && install --directory --owner=upwell --mode=0755 /run/upwell
ENV PATH=/opt/upwell/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    UPWELL_CACHE_DIR=/opt/upwell/cache \
    UPWELL_DATA_DIR=/var/lib/upwell
WORKDIR /var/lib/upwell
USER 10001
ENTRYPOINT ["upwell"]

FROM runtime AS demo
COPY --from=demo-builder /opt/upwell /opt/upwell
HEALTHCHECK --interval=60s --timeout=20s --start-period=60s --retries=3 CMD ["upwell", "topics", "check"]
CMD ["demo", "--produce-only"]

FROM runtime AS worker
COPY --from=builder /opt/upwell /opt/upwell
VOLUME ["/var/lib/upwell"]
# A worker that fails ends by itself; this tells one that is held up, by its broker or its disk.
ENV UPWELL_PROBE_PORT=8098
HEALTHCHECK --interval=60s --timeout=20s --start-period=60s --retries=3 \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8098/readyz', timeout=10)"]
CMD ["worker"]
