#!/usr/bin/env bash
# Makes constraints.txt anew: the newest versions that setup.cfg allows, resolved together in a clean environment.
# Usage: deploy/lock.sh [PYTHON]      Then run the whole suite before the new file is committed.
set -euo pipefail
cd "$(dirname "$0")/.."

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"${1:-python3}" -m venv "$scratch/venv"
python="$scratch/venv/bin/python"
unset PIP_CONSTRAINT PIP_BUILD_CONSTRAINT

# The tree is copied, so that the build leaves nothing in it.
mkdir "$scratch/tree"
cp -R setup.cfg pyproject.toml LICENSE "$scratch/tree/"
[ -f README.md ] && cp README.md "$scratch/tree/"
"$python" -m pip install --quiet --upgrade pip setuptools
"$python" -m pip install --quiet "$scratch/tree[test,lint,bench]"
"$python" -m pip check
{
    cat <<'HEAD'
# Exact versions of everything that Parley installs: runtime, test, lint and bench, with what they need in turn.
# Made by `deploy/lock.sh`; not edited by hand. Usable on Python 3.11, 3.12 and 3.13.
HEAD
    "$python" -m pip freeze --all --exclude parley | tr '[:upper:]_' '[:lower:]-' | LC_ALL=C sort
} >"$scratch/constraints.txt"
mv "$scratch/constraints.txt" deploy/constraints.txt
echo "deploy/constraints.txt: $(grep -c == deploy/constraints.txt) packages"
