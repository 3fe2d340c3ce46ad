#!/usr/bin/env bash
# Run a few tests as they run where other people work: is anything here taken for granted?
#
#   tests/anywhere.sh          all at once, on the packages that are installed: under a minute
#   tests/anywhere.sh --all    one after the other; then in a random order, and with the oldest
#                              packages that pyproject.toml allows, which pip installs
#
# PYTHON names the interpreter. The tests are those of what asks the system for something: files,
# folders, text, time, locales, other processes.
set -euo pipefail
cd "$(dirname "$0")/.."
python=$(realpath -s "$(command -v "${PYTHON:-python}")") # not where the link leads: the packages lie beside it
scratch=$(mktemp -d)
trap 'chmod -R u+w "$scratch"; rm -rf "$scratch"' EXIT
tests="tests/test_serialization.py tests/test_plot.py tests/data/test_idx.py tests/test_training.py
       tests/ops/test_neural_ops.py"

# a checkout that is read only (though not for root), and no place for what is left behind
git ls-files -co --exclude-standard | tar cf - -T - | (mkdir "$scratch/checkout" && tar xf - -C "$scratch/checkout")
chmod -R a-w "$scratch/checkout"
cd "$scratch/checkout"
export PYTHONDONTWRITEBYTECODE=1 PYTHONPATH="$PWD" TMPDIR="$scratch"

failed=0 before=() start=(-m pytest)
try() { # what it is called, and what it runs
    if "${@:2}" >"$scratch/said" 2>&1; then
        echo "passes: $1 ($(tail -1 "$scratch/said"))"
    else
        echo "FAILS: $1"; tail -40 "$scratch/said"; failed=1
    fi
}
pytest() { # options of pytest; $python runs it
    # shellcheck disable=SC2086
    "${before[@]}" "$python" "${start[@]}" -q -p no:cacheprovider --hypothesis-profile=dev -o addopts=--import-mode=importlib "$@" $tests
}
homeless() { HOME=/dev/null/nowhere XDG_CACHE_HOME= MPLCONFIGDIR= "$@"; }
in_c() { LC_ALL=C LANG=C "$@"; }
in_turkey() { LOCPATH="$scratch" LC_ALL=tr_TR.UTF-8 TZ=Europe/Istanbul "$@"; }
far_east() { TZ=Pacific/Kiritimati "$@"; }
alone() { (umask 077 && "$@"); }

if [ "${1-}" != --all ]; then
    try "a HOME that is none, LC_ALL=C, TZ, umask 077, read only, -W error" \
        homeless in_c far_east alone pytest -W error
    exit $failed
fi
try "a HOME that is none" homeless pytest
try "LC_ALL=C" in_c pytest
try "TZ=Pacific/Kiritimati" far_east pytest
try "umask 077" alone pytest
try "-W error" pytest -W error
if localedef -i tr_TR -f UTF-8 "$scratch/tr_TR.UTF-8" 2>/dev/null; then
    # a comma in numbers, too, as libraries see them once a program asks for its user's locale
    start=(-c 'import locale, sys, pytest; locale.setlocale(locale.LC_ALL, ""); sys.exit(pytest.main(sys.argv[1:]))')
    try "a Turkish locale" in_turkey pytest
    start=(-m pytest)
else
    echo "not run: a Turkish locale (localedef cannot make it here)"
fi
if [ "$(id -u)" = 0 ] && unshare --user --map-user=65534 true 2>/dev/null; then
    before=(unshare --user --map-user=65534 --map-group=65534)
    try "a user who is not root" pytest
    before=()
else
    echo "not run: a user who is not root (this is one, or the system has no user namespaces)"
fi
"$python" -m venv "$scratch/oldest"
"$scratch/oldest/bin/pip" install -q "numpy==2.0.*" "hypothesis==6.100.*" "pytest==8.0.*" scipy pytest-randomly
python="$scratch/oldest/bin/python"
try "NumPy 2.0, hypothesis 6.100, pytest 8.0, in order" pytest -p no:randomly
try "the same in a random order" pytest
exit $failed
