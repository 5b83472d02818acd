#!/bin/sh
# Runs Pants where PyPI is reachable and GitHub is not:  tools/pants_pypi.sh list ::
# Elsewhere the ordinary `pants` launcher with pants.toml alone is the way.
set -eu
cd "$(dirname "$0")/.."

case $PWD in
  *" "*)
    echo "pants_pypi: this Pants cannot open files in a path with spaces ($PWD); use ./run." >&2
    exit 1
    ;;
esac

pants=2.17.1 # the newest on PyPI; it runs on CPython 3.9, while the project stays on 3.11
pex=2.1.137  # the one that this Pants asks for; from PyPI, because its own address is on GitHub
folder="$PWD/.tools/pants-$pants"

works() { "$1" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 9))' 2>/dev/null; }

if [ ! -f "$folder/pex.pex" ]; then # made last: its presence says that the rest is whole
  python=""
  for candidate in "${PYTHON39:-python3.9}" "${HOME:-}"/.pyenv/versions/3.9.*/bin/python; do
    if works "$candidate"; then
      python=$candidate
      break
    fi
  done
  if [ -z "$python" ]; then
    echo "pants_pypi: Pants $pants needs Python 3.9, and none works. Set PYTHON39, or use ./run." >&2
    exit 1
  fi
  rm -rf "$folder"
  "$python" -m venv "$folder"
  "$folder/bin/python" -m pip install --quiet --only-binary :all: \
    "pantsbuild.pants==$pants" "pex==$pex"
  "$folder/bin/python" -m pex "pex==$pex" -c pex --python "$folder/bin/python" -o "$folder/new.pex"
  mv "$folder/new.pex" "$folder/pex.pex"
fi

sha=$(sha256sum "$folder/pex.pex" | cut -d' ' -f1)
size=$(wc -c <"$folder/pex.pex" | tr -d ' ')
platform="$(uname -s | tr '[:upper:]' '[:lower:]' | sed s/darwin/macos/)_$(uname -m | sed s/aarch64/arm64/)"
export NO_SCIE_WARNING=1
export PANTS_PANTSD="${PANTS_PANTSD:-false}" # else a process of 400 MB stays behind
export PANTS_CONFIG_FILES="['pants.toml','pants.pypi.toml']"
export PANTS_PEX_CLI_VERSION="v$pex"
export PANTS_PEX_CLI_URL_TEMPLATE="file://$folder/pex.pex"
export PANTS_PEX_CLI_KNOWN_VERSIONS="['v$pex|$platform|$sha|$size']"
exec "$folder/bin/python" "$folder/bin/pants" "$@"
