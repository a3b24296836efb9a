#!/usr/bin/env bash
# Installs the real programs that the tests start behind tunnels (JupyterLab, Dask, code-server, gotty, sshd), and the oldest Node
# that package.json allows.
# Everything but Debian's packages goes to .cache/ in the project. Running it again costs nothing; a failure ends it loudly.
set -euo pipefail
cd "$(dirname "$0")/../.."
setup=test/setup
cache=$PWD/.cache
mkdir -p "$cache/bin"
# Scripts below it (JupyterLab brings some) are no modules of this package.
echo '{"private": true, "type": "commonjs"}' > "$cache/package.json"
# The pinned Node before any other: code-server's native parts are built for the one that runs npm.
export PATH="$PWD/node_modules/.bin:$PATH"
# Below `npm test` this variable tells of the Node that runs that npm, which may be an older one; code-server's set-up
# believes it rather than PATH.
unset npm_config_user_agent

say() { printf 'programs: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# installed FOLDER FILE…: whether FOLDER was completed from exactly these files; completed FOLDER FILE… says so.
digest() { cat "$@" | sha256sum | cut -d' ' -f1; }
installed() { local folder=$1; shift; [ "$(cat "$folder/.complete" 2>/dev/null)" = "$(digest "$@")" ]; }
completed() { local folder=$1; shift; digest "$@" > "$folder/.complete"; }

debian() {
  local missing=()
  for package in openssh-server openssh-client openssh-sftp-server rsync lsof python3-psycopg2 gcc g++ make pkg-config libkrb5-dev; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q '^install ok installed$' || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  say "installing ${missing[*]}"
  [ "$(id -u)" = 0 ] || die "not root; install these packages first: ${missing[*]}"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# python_in FOLDER REQUIREMENTS COMMAND: an environment of Python with exactly these packages, among them the command.
python_in() {
  local folder=$cache/$1 requirements=$setup/$2
  installed "$folder" "$requirements" && return 0
  say "installing $3"
  rm -rf "$folder"
  python3 -m venv "$folder"
  "$folder/bin/pip" install --quiet --disable-pip-version-check --requirement "$requirements"
  "$folder/bin/$3" --version >/dev/null
  completed "$folder" "$requirements"
}

jupyter() { python_in jupyter python-requirements.txt jupyter-lab; }

dask() { python_in dask dask-requirements.txt dask; }

code_server() {
  local package=$setup/code-server/package.json
  installed "$cache/code-server" "$package" && return 0
  say 'installing code-server (some minutes)'
  rm -rf "$cache/code-server"
  mkdir -p "$cache/code-server"
  cp "$package" "$cache/code-server/"
  (cd "$cache/code-server" && npm install --no-audit --no-fund --loglevel=error >install.log 2>&1) ||
    { tail -40 "$cache/code-server/install.log" >&2; die 'code-server could not be installed'; }
  completed "$cache/code-server" "$package"
}

gotty() {
  installed "$cache/bin" "$setup/gotty/go.mod" "$setup/gotty/go.sum" && return 0
  say 'building gotty'
  (cd "$setup/gotty" && go build -mod=readonly -o "$cache/bin/gotty" github.com/sorenisanerd/gotty)
  completed "$cache/bin" "$setup/gotty/go.mod" "$setup/gotty/go.sum"
}

# A number in `engines` without a patch means patch 0.
oldest_node() {
  node_in oldest-node "$(node -p 'require("./package.json").engines.node.replace(/^>=/, "").split(".").concat("0", "0").slice(0, 3).join(".")')"
}

# A Node that is too old for tunl, and lacks functions that tunl imports.
too_old_node() { node_in too-old-node 18.20.8; }

# The package of npm that holds nothing but Node for this platform.
node_in() {
  local version=$2 platform folder=$cache/$1
  [ "$("$folder/bin/node" --version 2>/dev/null)" != "v$version" ] || return 0
  say "installing Node $version"
  platform=$(node -p 'process.platform + "-" + process.arch')
  rm -rf "$folder"
  mkdir -p "$folder"
  echo '{"private": true}' > "$folder/package.json"
  (cd "$folder" && npm install --no-audit --no-fund --no-save --ignore-scripts --loglevel=error "node-$platform@$version" >&2) ||
    die "Node $version could not be installed"
  ln -s "node_modules/node-$platform/bin" "$folder/bin"
  "$folder/bin/node" --version >/dev/null
}

debian
# None of these needs another one, and they wait for the network more than they work.
jobs=()
trap 'trap - INT TERM; kill 0' INT TERM
for part in oldest_node too_old_node jupyter dask code_server gotty; do
  "$part" &
  jobs+=($!)
done
failed=0
for job in "${jobs[@]}"; do wait "$job" || failed=1; done
[ "$failed" = 0 ] || die 'not all of them could be installed'
say 'all there'
