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
# Any user may run the image: everyone must be able to read the code, whatever umask the clone was made with, and to
# write the folders where the volumes of tokens and logins are mounted.
RUN chmod -R a+rX src && python -m compileall -q src && \
    mkdir -p secrets/log_processor secrets/api secrets/prometheus shared && chmod 0777 secrets/* shared
ARG WORKERS=4
ENV WORKERS=$WORKERS
# As src/service/version.py has it.
LABEL org.opencontainers.image.version=1.0.0
# A user that no system has. Compose runs the services as the caller instead, who owns the log and the data.
USER 10001:10001

FROM runtime AS test
LABEL com.request-statistics.image=test
ENV PYTHONPATH=/app/src:/app/tests:/app/tests/integration
COPY --from=test-builder /venv /venv
COPY . .
USER root
# pytest and hypothesis write here, as any user.
RUN chmod -R a+rX . && chmod 0777 .
USER 10001:10001
