# Sourced by every script here, first: what they need of their surroundings, whatever a person has set.

# Behind what is there, so that a person's choice wins: `su` and `sudo` forget these folders.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin:/usr/local/go/bin:$HOME/.cargo/bin
# No kubeconfig until a script has got that of its own cluster: a failure must not lead to a person's cluster.
KUBECONFIG=/dev/null
# This machine, and the ranges of local clusters' nodes, services and pods: no proxy leads there.
no_proxy=${NO_PROXY:-${no_proxy:-}}
no_proxy=${no_proxy:+$no_proxy,}localhost,127.0.0.0/8,::1,10.199.0.0/16,10.100.0.0/14,10.104.0.0/13,10.112.0.0/12,10.128.0.0/11,10.160.0.0/14,10.244.0.0/16,.svc,.cluster.local
NO_PROXY=$no_proxy
export PATH KUBECONFIG no_proxy NO_PROXY

# runs_here NAMES: whether a process of one of these names, a regular expression, lives. A killed one that nobody has
# collected yet does not.
runs_here() { ps -eo stat=,comm= | awk '$1 !~ /^Z/ {print $2}' | grep -qxE "$1"; }

# need PROGRAM:PACKAGE...: fails, and says what to install, where a program is missing.
need() {
  local pair missing=() packages=()
  for pair in "$@"; do
    command -v "${pair%%:*}" >/dev/null || { missing+=("${pair%%:*}"); packages+=("${pair##*:}"); }
  done
  [ ${#missing[@]} = 0 ] && return 0
  printf '%s: missing: %s; run: apt-get install %s\n' "$(basename "$0")" "${missing[*]}" \
    "$(printf '%s\n' "${packages[@]}" | sort -u | paste -sd ' ')" >&2
  exit 1
}

# need_rust, need_go: the same for what Debian's packages are too old for.
need_rust() {
  command -v cargo >/dev/null && return 0
  echo "$(basename "$0"): cargo is not on the PATH: install Rust (https://rustup.rs) for the user $(id -un); under sudo, use a login shell (sudo -i)" >&2
  exit 1
}
need_go() {
  local version least=26
  version=$(go env GOVERSION 2>/dev/null) || version=none
  # Since 1.21 Go fetches the newer one that a module asks for, where it may.
  [ "$(go env GOTOOLCHAIN 2>/dev/null || true)" = local ] || least=21
  [[ $version =~ ^go1\.([0-9]+) ]] && [ "${BASH_REMATCH[1]}" -ge $least ] && return 0
  echo "$(basename "$0"): Go 1.26 is needed, found: $version; install it (https://go.dev/dl); under sudo, use a login shell (sudo -i)" >&2
  exit 1
}
