#!/bin/sh
# The suite on every supported pair of Python and Django, each in a virtual environment of its own, and the coverage of
# all of them together. The oldest pair gets the oldest requests and urllib3 that we admit. A Python that is not there
# is reported and left out, or fails the run with MATRIX_STRICT=1. Without a browser its tests are reported and left out,
# or fail with REQUIRE_BROWSER=1.
set -eu
cd "$(dirname "$0")/.."

pairs="${MATRIX_PAIRS:-3.11:5.2 3.12:6.0 3.13:6.1}"
environments="${MATRIX_ENVIRONMENTS:-.venvs}"
missing=""

find_python() {
    candidates="python$1"
    if pyenv=$(command -v pyenv); then
        # Where HOME is not the usual one, pyenv's root is wrong, but its command still lies beside the versions.
        for root in "$(pyenv root)" "$(dirname "$(dirname "$pyenv")")"; do
            candidates="$candidates $(ls -d "$root"/versions/"$1".*/bin/python 2>/dev/null || true)"
        done
    fi
    for candidate in $candidates; do
        if "$candidate" -c "import sys; sys.exit('%d.%d' % sys.version_info[:2] != '$1')" 2>/dev/null; then
            echo "$candidate"
            return 0
        fi
    done
    return 1
}

rm -f .coverage .coverage.*
for pair in $pairs; do
    python_version="${pair%%:*}"
    django_version="${pair##*:}"
    if ! python=$(find_python "$python_version"); then
        echo "matrix: Python $python_version is missing, so Django $django_version was NOT tested" >&2
        missing="$missing $python_version"
        continue
    fi
    environment="$environments/py$python_version-django$django_version"
    echo "matrix: Python $python_version, Django $django_version"
    [ -x "$environment/bin/python" ] || "$python" -m venv "$environment"
    constraints=""
    [ "$python_version" != 3.11 ] || constraints="--constraint requirements/oldest.txt"
    # shellcheck disable=SC2086 # no constraints are no arguments
    "$environment/bin/python" -m pip install --quiet --disable-pip-version-check \
        "django==$django_version.*" -r requirements/test.txt $constraints
    "$environment/bin/python" -m coverage run -m pytest
    last="$environment"
done

if [ -n "$missing" ]; then
    echo "matrix: missing:$missing" >&2
    [ -z "${MATRIX_STRICT:-}" ] || exit 1
else
    omitted=""
    "$last/bin/python" -m tests.browser.chromium >/dev/null || omitted="--omit=tests/browser/*"
    "$last/bin/python" -m coverage combine --quiet
    # shellcheck disable=SC2086 # the same
    "$last/bin/python" -m coverage report --fail-under=100 $omitted
fi
