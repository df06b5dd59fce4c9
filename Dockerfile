# One image for all services: each is a command of it. Targets: runtime, and test, which adds tests and their packages.
FROM python:3.11-slim-bookworm AS base
ENV PATH=/venv/bin:$PATH

FROM base AS builder
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /venv
COPY requirements.txt /
RUN pip install --require-hashes --requirement /requirements.txt

FROM builder AS test-builder
COPY requirements-test.txt /
RUN pip install --require-hashes --requirement /requirements-test.txt

FROM base AS runtime
LABEL com.request-statistics.image=runtime
WORKDIR /app
ENV PYTHONPATH=/app/src PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
COPY --from=builder /venv /venv
COPY src src
# Any user may run the image, so everyone must be able to write the folders where the tokens' volumes are mounted.
RUN python -m compileall -q src && mkdir -p secrets/log_processor secrets/api && chmod 0777 secrets/*
ARG WORKERS=4
ENV WORKERS=$WORKERS
ARG VERSION=unknown
LABEL org.opencontainers.image.version=$VERSION

FROM runtime AS test
LABEL com.request-statistics.image=test
ENV PYTHONPATH=/app/src:/app/tests:/app/tests/integration
COPY --from=test-builder /venv /venv
COPY . .
# pytest and hypothesis write here, as any user.
RUN chmod 0777 .
