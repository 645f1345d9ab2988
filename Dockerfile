ARG BASE=python:3.12-slim-bookworm
FROM ${BASE}

# CPU builds of torch by default, as containers see no GPU unless told; `--build-arg TORCH_INDEX=` takes PyPI's CUDA builds.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ENV VENV=/opt/memviz/venv \
    PIP_NO_CACHE_DIR=1 \
    PYTHONUNBUFFERED=1

# What the environment is made from comes first: an edit elsewhere does not install everything again.
WORKDIR /opt/memviz/app
COPY scripts/install.sh scripts/
COPY requirements.txt requirements-dev.txt requirements-first.txt constraints.txt pyproject.toml README.md LICENSE ./
COPY memviz/__init__.py memviz/
RUN TORCH_INDEX="${TORCH_INDEX}" sh scripts/install.sh
COPY . .

RUN useradd --create-home --uid 10001 memviz \
    && mkdir -p /var/lib/memviz \
    && chown memviz /var/lib/memviz
USER 10001
ENV MEMVIZ_CACHE=/var/lib/memviz \
    HF_HOME=/var/lib/memviz/hub \
    PATH=/opt/memviz/venv/bin:$PATH
VOLUME /var/lib/memviz
EXPOSE 8501

# It listens on every address of the container, and answers to localhost alone: to open it under another name, from
# another machine say, give that name: `docker run -e MEMVIZ_ALLOWED_HOSTS=memviz.example.org,localhost,127.0.0.1 …`
# (127.0.0.1 is what the health check asks).

HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import json, sys, urllib.request as r; sys.exit(not json.load(r.urlopen('http://127.0.0.1:8501/ready', timeout=4))['ready'])"]

CMD ["python", "-m", "streamlit", "run", "app.py", "--server.address=0.0.0.0", "--server.port=8501", "--server.headless=true"]
