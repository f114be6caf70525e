"""``make apps``, or ``python -m compatibility``: run the sites, and write the table of the manual."""

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from .packages import HERE, PACKAGES, Package, table

ROOT = HERE.parent
TABLE = ROOT / "docs" / "works-with" / "table.rst"
# No migrations: tables are made from the models, in a tenth of the time. Warnings of other packages are theirs.
PYTEST = [
    sys.executable,
    "-m",
    "pytest",
    "-q",
    "--nomigrations",
    "--tb=short",
    "-p",
    "no:cacheprovider",
    "-p",
    "no:warnings",
]


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 1 if mail of a package did not arrive or, with ``--check``, if the table is not up to date; else 0."""
    chosen = _options(arguments)
    packages = [package for package in PACKAGES if package.name in (chosen.package or [package.name])]
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        passed = list(threads.map(_run, packages))
    if not all(passed):
        return 1
    if chosen.package:
        return 0
    if chosen.check:
        return _check(table(packages))
    TABLE.write_text(table(packages))
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m compatibility", description=__doc__)
    names = [package.name for package in PACKAGES]
    parser.add_argument("package", nargs="*", help=f"only these of {', '.join(names)}; the table stays as it is")
    parser.add_argument("--check", action="store_true", help="compare the table with the run instead of writing it")
    chosen = parser.parse_args(arguments)
    if unknown := set(chosen.package) - set(names):
        parser.error(f"no such package: {', '.join(sorted(unknown))}")
    return chosen


def _run(package: Package) -> bool:
    """Run the tests of a package in a process of its own, which has the settings of its site."""
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": package.settings}
    run = subprocess.run(
        [*PYTEST, package.tests], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    passed = run.returncode == 0
    print(f"{'passed' if passed else 'FAILED'}  {package.name} {package.version}", flush=True)
    if not passed:
        print(run.stdout, run.stderr, sep="\n", flush=True)
    return passed


def _check(expected: str) -> int:
    if TABLE.read_text() == expected:
        return 0
    print(f'{TABLE.relative_to(ROOT)} differs from what was run: run "make apps" and commit the table')
    return 1


if __name__ == "__main__":
    sys.exit(main())
