# All packages of the program, for training, tuning and processing jobs of SageMaker: docker build --target jobs .
FROM python:3.11-slim AS jobs

ENV PYTHONUNBUFFERED=1

# The program's packages with OpenCV for machines without a screen. A lock is complete: nothing else is looked for.
COPY jobs.lock ./
RUN pip install --no-cache-dir --disable-pip-version-check --no-deps --require-hashes -r jobs.lock

# Jobs bring the code of their commit. A tuning job cannot name a command of its own; SageMaker appends the word train.
ENTRYPOINT ["/bin/bash", "-c", "mkdir -p /opt/ml/code && cd /opt/ml/code && tar -xzf /opt/ml/input/data/code/code.tar.gz && exec python3 -m fer.cloud.training_container /opt/ml"]

# The model's server, for one machine, SageMaker (batch and endpoint) and Cloud Run. The model is mounted or unpacked
# at /opt/ml/model: docker run -p 8080:8080 -v "$PWD/unpacked:/opt/ml/model:ro" IMAGE
FROM python:3.11-slim

ENV PYTHONUNBUFFERED=1
WORKDIR /opt/fer

COPY serving.lock ./
RUN pip install --no-cache-dir --disable-pip-version-check --no-deps --require-hashes -r serving.lock

# What a model package holds too: SERVING_CODE of fer/registry/package.py, to which a test compares this list.
COPY fer/__init__.py fer/errors.py fer/emotions.py fer/
COPY fer/bundle/ fer/bundle/
COPY fer/core/ fer/core/
COPY fer/metrics/ fer/metrics/
COPY fer/models/ fer/models/
COPY fer/serving/ fer/serving/

RUN useradd --system --no-create-home --uid 10001 fer
USER 10001

# $PORT, where a service sets it, comes before 8080.
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:' + (os.environ.get('PORT') or '8080') + '/ping', timeout=4)"]
# SageMaker appends the word serve.
ENTRYPOINT ["python", "-m", "fer.serving", "--host", "0.0.0.0"]
