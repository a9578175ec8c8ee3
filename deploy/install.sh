#!/usr/bin/env bash
# Makes .venv with the newest suitable Python and installs Parley into it at the locked versions.
# Usage: deploy/install.sh [EXTRA...]     (extras of setup.cfg: test, lint, bench). Quick when nothing has changed.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=$PWD/.venv
say() { printf 'install: %s\n' "$*"; }
fail() {
    printf 'install: %s\n' "$*" >&2
    exit 1
}

suits() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2])' >/dev/null 2>&1; }
works() { [ -x "$venv/bin/python" ] && suits "$venv/bin/python" && "$venv/bin/python" -m pip --version >/dev/null 2>&1; }

# A name on the PATH proves nothing (it may be a shim, or lack ensurepip), so each candidate has to make the environment.
make_venv() {
    local candidate
    for candidate in ${PARLEY_PYTHON:-python3.13 python3.12 python3.11 python3}; do
        suits "$candidate" || continue
        rm -rf "$venv"
        if "$candidate" -m venv "$venv" >/dev/null 2>&1 && works; then
            say "made .venv with $("$venv/bin/python" --version)"
            return 0
        fi
        rm -rf "$venv"
    done
    return 1
}

# What a Debian machine lacks: the interpreter, or only the package that holds its venv module.
missing_package() {
    if suits python3; then echo python3-venv; else echo python3 python3-venv; fi
}

if ! works && ! make_venv; then
    packages=$(missing_package)
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        fail "Python 3.11 or newer that can make a virtual environment is needed. Install $packages (on Debian: apt-get install $packages) and run this again."
    fi
    say "installing $packages"
    # shellcheck disable=SC2086  # two words are two packages
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $packages </dev/null >/dev/null; } ||
        fail "apt-get could not install $packages"
    make_venv || fail "no Python 3.11 or newer that can make a virtual environment, even with $packages installed"
fi

# The stamp says for which tree, versions and Python the environment is good (first line), and with which extras (the others).
stamp=$venv/installed
mark="$(cat setup.cfg pyproject.toml deploy/constraints.txt deploy/install.sh | cksum) $PWD $("$venv/bin/python" --version)"
present=
if [ -f "$stamp" ] && [ "$(head -n 1 "$stamp")" = "$mark" ]; then
    present=$(tail -n +2 "$stamp")
fi
wanted=()
for extra in runtime "$@"; do
    grep -qx "$extra" <<<"$present" || wanted+=("$extra")
done
[ ${#wanted[@]} -gt 0 ] || exit 0

# The environment variables reach the isolated build as well, so that it is built with the locked versions too.
export PIP_CONSTRAINT=$PWD/deploy/constraints.txt PIP_BUILD_CONSTRAINT=$PWD/deploy/constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PIP_ROOT_USER_ACTION=ignore
log=$venv/install.log
pip() { "$venv/bin/python" -m pip "$@" </dev/null >>"$log" 2>&1; }

say "installing ${wanted[*]} at the versions of deploy/constraints.txt; this takes a minute"
rm -f "$stamp" "$log"
extras=$(IFS=,; echo "$*")
if ! { pip install --upgrade pip setuptools && pip install --editable ".${extras:+[$extras]}" && pip check; }; then
    tail -n 40 "$log" >&2
    fail "the packages could not be installed; the installer's last words are above, all of them in $log"
fi
{
    printf '%s\n' "$mark"
    [ -z "$present" ] || printf '%s\n' "$present"
    printf '%s\n' "${wanted[@]}"
} >"$stamp.new"
mv "$stamp.new" "$stamp"
