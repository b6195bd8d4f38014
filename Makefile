# Every target works on a fresh clone: it makes .venv when that is missing or older than what it is made from.
PYTHON ?= python3
BIN := $(if $(filter Windows_NT,$(OS)),.venv/Scripts,.venv/bin)
READY := .venv/.ready
export OMP_NUM_THREADS ?= 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help setup demo test lint types arch browser peers camera docs gif ship bench clean

help:
	@echo "make demo    install, then show the whole loop on one page, part by part"
	@echo "make test    install, then every check that CI runs"
	@echo "make setup   install into .venv"
	@echo "make lint | types | arch   one kind of check"
	@echo "make docs    rewrite docs/architecture.md and the API pages in build/api"
	@echo "make camera  install MediaPipe into .venv-camera, for gesture's cameras, phones and videos"
	@echo "make bench   measure the hot paths (about a minute)"

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Shadowbox needs Python 3.11 or newer; name one with: make PYTHON=python3.11 ..."; exit 1; }
	@echo "setup: making .venv"
	@$(PYTHON) -m venv .venv
	@echo "setup: installing shadowbox and what its checks need (torch is the largest part; a minute or more)"
	@$(BIN)/python -m pip install -qq -c constraints.txt -e ".[dev,test,bench,parity]"
	@$(BIN)/python -m shadowbox.games.brawl.compile
	@touch $(READY)

demo: $(READY)
	@$(BIN)/python demo/run.py

test: lint types arch browser peers camera
	@echo "test: pytest"
	@$(BIN)/python -m pytest -q -n 2

lint: $(READY)
	@echo "lint: ruff"
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check

types: $(READY)
	@echo "types: mypy"
	@$(BIN)/mypy

arch: $(READY)
	@echo "arch: import-linter"
	@$(BIN)/lint-imports --no-logo

# Pages are tested in Debian's chromium. Where it cannot be installed their tests are skipped, which must not go unnoticed.
browser:
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || { \
	  [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && echo "test: installing chromium (once; a minute or more)" && \
	  { apt-get install -qq -y chromium || { apt-get update -qq && apt-get install -qq -y chromium; }; } >/dev/null 2>&1; } || \
	  printf '\n%s\n%s\n\n' "test: NO CHROMIUM. THE PAGES WILL NOT BE TESTED." \
	    "      Install it (Debian: apt-get install chromium) and run make test again."

# Other readers of replays live beside ours: one of them wants an older pyarrow. Without them their tests are skipped.
peers: .venv-peers/.ready

.venv-peers/.ready: tests/peers.txt
	@echo "test: installing other readers of replays into .venv-peers (once; half a minute)"
	@{ $(PYTHON) -m venv .venv-peers && .venv-peers/bin/python -m pip install -qq -r tests/peers.txt && touch $@; } || \
	  printf '\n%s\n\n' "test: NO OTHER READERS (see above). REPLAYS WILL NOT BE COMPARED WITH THEIRS."

# MediaPipe, which finds bodies in pictures, wants an older protobuf. Without it its tests are skipped.
CAMERA := src/shadowbox/games/gesture/camera/requirements.txt
camera: .venv-camera/.ready

.venv-camera/.ready: $(CAMERA)
	@echo "installing MediaPipe into .venv-camera (once; 420 MB, a minute)"
	@{ $(PYTHON) -m venv .venv-camera && .venv-camera/bin/python -m pip install -qq --no-deps -r $(CAMERA) && touch $@; } || \
	  printf '\n%s\n\n' "NO MEDIAPIPE (see above). A REAL PERSON BEFORE A CAMERA WILL NOT BE TRIED."

docs: $(READY)
	@$(BIN)/python docs/architecture.py
	@$(BIN)/python docs/doctor.py
	@echo "docs: API pages (half a minute)"
	@$(BIN)/python docs/api.py build/api
	@echo "docs: docs/architecture.md and build/api/index.html"

gif: $(READY)
	@$(BIN)/python docs/match_gif.py docs/match.gif

# A policy or a world that a game ships: make ship RUN=runs/NAME/SEED AS=src/shadowbox/games/GAME/shipped/NAME
ship: $(READY)
	@$(BIN)/python docs/ship.py $(RUN) $(AS)

bench: $(READY)
	@$(BIN)/shadowbox bench store
	@echo
	@$(BIN)/shadowbox bench sim

clean:
	rm -rf .venv .venv-peers .venv-camera runs build .mypy_cache .ruff_cache .pytest_cache .hypothesis
