# syntax=docker/dockerfile:1
# saliency on CPUs. See docs/ci.md.

FROM python:3.11-slim AS build
# An index of torch's wheels; without one, pip's own. torch comes first, so that nothing replaces it.
ARG TORCH_INDEX=""
WORKDIR /source
COPY constraints.txt ./
RUN python -m venv /opt/saliency \
    && /opt/saliency/bin/pip install --no-cache-dir -c constraints.txt ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} torch
COPY pyproject.toml README.md LICENSE ./
COPY saliency_cli saliency_cli
COPY templates templates
RUN /opt/saliency/bin/pip install --no-cache-dir -c constraints.txt .

FROM python:3.11-slim
COPY --from=build /opt/saliency /opt/saliency
RUN useradd --uid 10001 --no-create-home saliency
# HOME is writable under --read-only --tmpfs /tmp; nothing is ever downloaded.
ENV HF_HUB_OFFLINE=1 HOME=/tmp PATH=/opt/saliency/bin:$PATH PYTHONDONTWRITEBYTECODE=1
USER saliency
WORKDIR /work
ENTRYPOINT ["saliency"]
CMD ["--help"]
