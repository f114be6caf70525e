#!/bin/sh
# The suite on every supported pair of Python and Django, each in a virtual environment of its own, and the coverage of
# all of them together. The newest pair comes first and runs everything; the others leave out the tests in a browser,
# which would say the same again. The oldest pair gets the oldest requests, urllib3 and idna that we admit. A Python that
# is not there is reported and left out, or fails the run with MATRIX_STRICT=1. Without a browser its tests are reported
# and left out, or fail with REQUIRE_BROWSER=1; so are those on PostgreSQL and Redis, with REQUIRE_SERVICES=1. The newest
# pair runs the tests of the queue on PostgreSQL too.
set -eu
cd "$(dirname "$0")/.."
unset PYTHONDONTWRITEBYTECODE  # the tests start hundreds of processes, and each would compile the package anew

newest=3.13:6.1
oldest=3.11:5.2
pairs="${MATRIX_PAIRS:-$newest 3.12:6.0 $oldest}"
environments="${MATRIX_ENVIRONMENTS:-.venvs}"
missing=""

rm -f .coverage .coverage.*
for pair in $pairs; do
    python_version="${pair%%:*}"
    django_version="${pair##*:}"
    if ! python=$(sh tests/find_python.sh "$python_version"); then
        echo "matrix: Python $python_version is missing, so Django $django_version was NOT tested" >&2
        missing="$missing $python_version"
        continue
    fi
    environment="$environments/py$python_version-django$django_version"
    echo "matrix: Python $python_version, Django $django_version"
    [ -x "$environment/bin/python" ] || "$python" -m venv "$environment"
    constraints=""
    [ "$pair" != "$oldest" ] || constraints="--constraint requirements/oldest.txt"
    without=""
    [ "$pair" = "$newest" ] || without="--ignore=tests/browser"
    # shellcheck disable=SC2086 # nothing is no argument
    "$environment/bin/python" -m pip install --quiet --disable-pip-version-check \
        "django==$django_version.*" -r requirements/test.txt $constraints
    # shellcheck disable=SC2086 # the same
    "$environment/bin/python" -m coverage run -m pytest --numprocesses=auto $without
    [ "$pair" != "$newest" ] || "$environment/bin/python" -m tests.services \
        "$environment/bin/python" -m coverage run -m pytest --numprocesses=auto @tests/on_postgresql.txt
    last="$environment"
done

if [ -n "$missing" ]; then
    echo "matrix: missing:$missing" >&2
    [ -z "${MATRIX_STRICT:-}" ] || exit 1
else
    omitted=""
    "$last/bin/python" -m tests.browser.chromium >/dev/null || omitted="--omit=tests/browser/*"
    "$last/bin/python" -m coverage combine --quiet
    least=100
    if ! REQUIRE_SERVICES=1 "$last/bin/python" -m tests.services true; then
        echo "matrix: without that server, the coverage cannot be whole" >&2
        least=0
    fi
    # shellcheck disable=SC2086 # the same
    "$last/bin/python" -m coverage report --fail-under=$least $omitted
fi
