# The whole runtime in one slim image: no compiler, no root, state on a volume.
FROM python:3.13-slim AS build
WORKDIR /src
RUN python -m venv /opt/sidecar
COPY requirements/run.txt requirements/run.txt
RUN /opt/sidecar/bin/pip install --no-cache-dir --require-hashes --no-deps -r requirements/run.txt
COPY pyproject.toml README.md LICENSE ./
COPY index index
COPY sidecar sidecar
RUN /opt/sidecar/bin/pip install --no-cache-dir --no-deps --no-build-isolation . \
 && /opt/sidecar/bin/pip uninstall --yes pip hatchling editables

FROM python:3.13-slim
RUN useradd --uid 10001 --no-create-home sidecar && install -d -o sidecar -m 0700 /state
COPY --from=build /opt/sidecar /opt/sidecar
ENV PATH=/opt/sidecar/bin:$PATH PYTHONUNBUFFERED=1 SIDECAR__STATE_DIR=/state
USER sidecar
WORKDIR /state
VOLUME /state
EXPOSE 8080 9090
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD ["sidecar", "healthcheck"]
ENTRYPOINT ["sidecar"]
CMD ["serve"]
