# Sourced by every script here. What a cluster is called, where its state is, and which numbers are its own.
#
# A cluster belongs to a checkout and a name. It claims a slot, a small number, from which all that must be unique on
# the machine derives: addresses, ports, links, cgroups. So checkouts and names do not disturb each other.
set -euo pipefail
cluster_folder=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
checkout=$(cd "$cluster_folder/../.." && pwd)
cache=${SEATRIAL_CACHE:-$HOME/.cache/seatrial}
clusters=$cache/clusters
mkdir -p "$clusters/slots"

say() { printf '%s\n' "$*" >&2; }
fail() { say "$(basename "$0"): $*"; exit 1; }

# identify NAME: sets id, state and the paths in it.
identify() {
  name=$1
  id=$(printf '%s %s' "$checkout" "$name" | sha256sum | cut -c1-8)
  state=$clusters/$id
  run=$state/run
  kubeconfig=$run/admin.conf
  audit_log=$run/audit.log
  containerd_socket=$run/containerd.sock
  containerd_root=$state/images          # outlives the cluster: images are imported once
  netns=$run/netns
  [ ${#containerd_socket} -lt 100 ] || fail "the path $containerd_socket is too long for a socket: set SEATRIAL_CACHE to a shorter folder"
}

# claim_slot: sets slot, a number that no other cluster on this machine has.
claim_slot() {
  local number
  for number in $(seq 0 63); do
    if [ "$(cat "$clusters/slots/$number" 2>/dev/null)" = "$id" ]; then slot=$number; return; fi
  done
  for number in $(seq 0 63); do
    # What somebody else has put there, with a cache of their own perhaps.
    [ ! -e "/sys/class/net/seatrial${number}h" ] || continue
    # noclobber makes creation atomic: of two at once one wins.
    if (set -o noclobber; echo "$id" >"$clusters/slots/$number") 2>/dev/null; then slot=$number; return; fi
  done
  fail "all 64 slots are taken: end clusters with e2e/cluster/down, or remove what is left in $clusters/slots"
}

# forget_lost_checkouts: removes what was kept for the next start of clusters whose checkout is gone.
forget_lost_checkouts() {
  local mark
  for mark in "$clusters"/*/checkout; do
    [ ! -e "$mark" ] || [ -d "$(cat "$mark")" ] || [ -e "$(dirname "$mark")/run" ] || rm -rf "$(dirname "$mark")"
  done
}

# derive: sets what follows from the slot.
derive() {
  node=node-$slot
  host_link=seatrial${slot}h
  node_link=seatrial${slot}n
  host_ip=10.199.$slot.1
  node_ip=10.199.$slot.2
  pod_cidr=10.244.$slot.0/24
  service_cidr=10.$((100 + slot)).0.0/16
  api_service_ip=10.$((100 + slot)).0.1
  dns_ip=10.$((100 + slot)).0.10
  cgroup=seatrial-$slot
  # Only for a control plane without a node, which has no network of its own.
  api_port=$((26000 + 10 * slot)) etcd_port=$((26001 + 10 * slot)) etcd_peer_port=$((26002 + 10 * slot))
  controller_port=$((26003 + 10 * slot))
}

in_node() { nsenter --net="$netns" "$@"; }
ctr_k8s() { ctr -a "$containerd_socket" -n k8s.io "$@"; }

# wait_for SECONDS WHAT COMMAND...: until the command succeeds.
wait_for() {
  local deadline=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $deadline ] || fail "$what did not come in time; look at the logs in $run/logs"
    sleep 0.1
  done
}
