# One image for every role: `docker build --tag deltamesh:local .` makes the CPU build; docs/docker.md tells the others.
# A tag with a digest pins the base: --build-arg PYTHON_IMAGE=python:3.11-slim@sha256:...
ARG PYTHON_IMAGE=python:3.11-slim

# Dependencies alone, so that a change of the source does not install them again.
FROM ${PYTHON_IMAGE} AS dependencies
# What pip needs where packages come from elsewhere; empty: what pip does by itself.
ARG PIP_INDEX_URL=
ARG PIP_EXTRA_INDEX_URL=
ARG PIP_FIND_LINKS=
ARG PIP_TRUSTED_HOST=
ARG PIP_CERT=
# Where the build of torch comes from: PyTorch's index of CPU wheels, or one of its CUDA indexes (.../whl/cu130).
# Empty: wherever the other packages come from, which on Linux is the CUDA build.
ARG TORCH_INDEX_URL=https://download.pytorch.org/whl/cpu
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_INPUT=1 PIP_ROOT_USER_ACTION=ignore
# fastecdsa, of libp2p, comes as source: a compiler, GMP, and Python's headers where the base has none.
RUN headers="$(python3 -c 'import os, sysconfig; p = sysconfig.get_path("include"); print("" if os.path.exists(p + "/Python.h") else "python3-dev")')" \
 && apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends gcc libc6-dev libgmp-dev $headers >/dev/null \
 && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv /opt/deltamesh
ENV PATH=/opt/deltamesh/bin:$PATH
WORKDIR /build
COPY constraints.txt pyproject.toml ./
RUN if [ -n "$TORCH_INDEX_URL" ]; then \
      pip install -q --no-deps --index-url "$TORCH_INDEX_URL" --retries 2 -c constraints.txt torch; \
    fi
RUN python3 -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" \
      >requirements.txt \
 && pip install -q -c constraints.txt -r requirements.txt
# Headers, static libraries and the dependencies' own tests are never loaded.
RUN cd /opt/deltamesh/lib/python3*/site-packages \
 && rm -rf torch/include torch/share torch/bin/protoc* torch/bin/test* torch/test pyarrow/include numpy/_core/include \
 && find . -name '*.a' -delete \
 && for package in numba scipy sklearn numpy pyarrow sympy networkx mpmath; do \
      find "$package" -type d -name tests -prune -exec rm -rf {} +; \
    done

FROM ${PYTHON_IMAGE} AS wheel
ARG PIP_INDEX_URL=
ARG PIP_EXTRA_INDEX_URL=
ARG PIP_FIND_LINKS=
ARG PIP_TRUSTED_HOST=
ARG PIP_CERT=
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_INPUT=1 PIP_ROOT_USER_ACTION=ignore
RUN python3 -m venv /opt/build && /opt/build/bin/pip install -q "setuptools>=80" wheel
WORKDIR /build
COPY pyproject.toml README.md LICENSE ./
COPY protocol protocol
COPY scoring scoring
COPY config config
COPY node node
RUN /opt/build/bin/pip wheel -q --no-deps --no-build-isolation --wheel-dir /wheel .

FROM ${PYTHON_IMAGE}
ARG UID=10001
RUN groupadd --gid "$UID" deltamesh \
 && useradd --uid "$UID" --gid "$UID" --no-create-home --home-dir /data --shell /usr/sbin/nologin deltamesh \
 && install -d -o "$UID" -g "$UID" -m 0700 /data /network /network/encoders /network/cheaters \
      $(seq -f /network/validator-%g 16)
RUN ldconfig -p | grep -q libgmp.so.10 \
 || (apt-get update -qq && apt-get install -y -qq --no-install-recommends libgmp10 >/dev/null && rm -rf /var/lib/apt/lists/*)
COPY --from=dependencies /opt/deltamesh /opt/deltamesh
ENV PATH=/opt/deltamesh/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    OMP_NUM_THREADS=1 \
    HF_HUB_OFFLINE=1 \
    NUMBA_CACHE_DIR=/tmp/kernels \
    DELTAMESH_HOME=/data
COPY --from=wheel /wheel /tmp/wheel
# Whole seconds: numba knows a kernel by its file's time, and a layer may keep no more of it. The kernels are
# compiled for the processor at hand; where the image runs on another kind, its validators compile their own.
RUN pip install -q --no-deps --no-index --no-cache-dir --no-compile --disable-pip-version-check /tmp/wheel/*.whl \
 && rm -rf /tmp/wheel \
 && cd /opt/deltamesh/lib/python3*/site-packages \
 && find scoring/compiled -name '*.py' -exec touch -d '2000-01-01T00:00:00Z' {} + \
 && PYTHONDONTWRITEBYTECODE= python3 -m compileall -q node protocol scoring config \
 && NUMBA_CACHE_DIR=/opt/deltamesh/kernels python3 -m node.scoring_worker --compile \
 && chmod -R a+rX /opt/deltamesh/kernels \
 && deltamesh --help >/dev/null
COPY docker/entrypoint.sh /usr/local/bin/deltamesh-entrypoint
ARG VERSION=0.1.0
ARG REVISION=
LABEL org.opencontainers.image.title="deltamesh" \
      org.opencontainers.image.description="A peer-to-peer network whose embeddings you can check instead of trust." \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
USER ${UID}:${UID}
EXPOSE 7700 7780 7790
# An encoder that took a prepared home notes it there; every other node's is DELTAMESH_HOME.
HEALTHCHECK --interval=30s --timeout=20s --start-period=60s --retries=4 \
  CMD deltamesh status --home "$(cat /tmp/deltamesh-home 2>/dev/null || echo "$DELTAMESH_HOME")" >/dev/null
STOPSIGNAL SIGTERM
ENTRYPOINT ["deltamesh-entrypoint"]
CMD ["--help"]
