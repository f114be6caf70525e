#!/bin/sh
# The path of a Python of this version, such as 3.13: on the PATH, or one of pyenv's. Fails where there is none.
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
        exit 0
    fi
done
exit 1
