# Shadowbox with its pages, on a CPU. docs/docker.md says how to build and run it.
FROM python:3.11-slim
# where wheels of torch without CUDA are, if the usual index has others: --build-arg PIP_EXTRA_INDEX_URL=...
ARG PIP_EXTRA_INDEX_URL=
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore OMP_NUM_THREADS=1
WORKDIR /shadowbox
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY docs docs
COPY src src
RUN python -m pip install -c constraints.txt ".[arrow,envs,hub,onnx,pictures]"
RUN python -m shadowbox.games.brawl.compile
RUN shadowbox match brawl --p0 policy:champion --p1 based --world brawl@time_limit=60 --json
# runs, stores and cards of a user: docker run -v "$PWD:/work"
WORKDIR /work
EXPOSE 8765
CMD ["shadowbox", "serve", "--host", "0.0.0.0"]
