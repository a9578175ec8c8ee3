#!/usr/bin/env bash
# Gets the default models into the model repository. A model that cannot be had is named, and the rest goes on:
# a node without it still runs, and says so to whoever asks for what the model does.
set -euo pipefail
cd "$(dirname "$0")/.."

deploy/install.sh
.venv/bin/python -m inference.repository pull "$@" </dev/null ||
    echo "models: not all models are here; what needs them will say so" >&2
