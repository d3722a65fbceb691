#!/usr/bin/env bash
# The version of the packages: what git says of the commit, in the form in which dpkg orders it. Later commits have higher versions.
#   v1.2.0 → 1.2.0    five commits after it → 1.2.0+5.g0f58361    v1.3.0-rc1 → 1.3.0~rc1    no tag yet → 0.0.0+1234.g0f58361
set -euo pipefail
cd "$(dirname "$0")/../.."
dirty=
git diff --quiet HEAD -- || dirty=+dirty
hash=g$(git rev-parse --short=7 HEAD)
if described=$(git describe --tags --match 'v[0-9]*' --abbrev=7 --long 2>/dev/null); then
    tag=${described%-*-g*}
    since=${described#"$tag"-}
    since=${since%-g*}
    version=${tag#v}
    version=${version//-/'~'}
    [ "$since" = 0 ] || version+=+$since.$hash
else
    version=0.0.0+$(git rev-list --count HEAD).$hash
fi
echo "$version$dirty"
