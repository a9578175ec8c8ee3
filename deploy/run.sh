#!/usr/bin/env bash
# From a fresh clone to a running node: environment, default models, then the node, with this script's arguments.
set -euo pipefail
cd "$(dirname "$0")/.."

deploy/install.sh
deploy/models.sh
exec .venv/bin/python -m runtime.node "$@"
