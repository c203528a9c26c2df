# Sourced by every script here. What a cluster is called, where its state is, and which numbers are its own.
#
# A cluster belongs to a checkout and a name. It claims a slot, a small number, from which all that must be unique on
# the machine derives: addresses, ports, links, cgroups. So checkouts and names do not disturb each other.
set -euo pipefail
cluster_folder=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
checkout=$(cd "$cluster_folder/../.." && pwd)
cache=${SEATRIAL_CACHE:-$HOME/.cache/seatrial}
clusters=$cache/clusters
# What the nodes of this machine share, whoever started them: see lib/machine.sh.
machine=/run/seatrial
. "$cluster_folder/../lib/environment.sh"
mkdir -p "$clusters/slots"

say() { printf '%s\n' "$*" >&2; }
fail() { say "$(basename "$0"): $*"; exit 1; }

# identify NAME: sets id, state and the paths in it.
identify() {
  name=$1
  identify_by_id "$(printf '%s %s' "$checkout" "$name" | sha256sum | cut -c1-8)"
}
identify_by_id() {
  id=$1
  state=$clusters/$id
  run=$state/run
  kubeconfig=$run/admin.conf
  audit_log=$run/audit.log
  containerd_socket=$run/containerd.sock
  containerd_root=$state/images          # outlives the cluster: images are imported once
  netns=$run/netns
  [ ${#containerd_socket} -lt 100 ] || fail "the path $containerd_socket is too long for a socket: set SEATRIAL_CACHE to a shorter folder"
}

# lock_cluster: one `up` or `down` of a cluster at a time. A `down` that an `up` calls has its lock.
lock_cluster() {
  [ "${SEATRIAL_LOCKED:-}" != "$id" ] || return 0
  mkdir -p "$state"
  exec 9>"$state/lock"
  flock -w 600 9 || fail "another up or down of this cluster does not end"
}

# One at a time on this machine, for what all users' clusters share; a folder, since a file would be left behind.
lock_machine() { exec 7</run; flock -w 120 7 || fail "another start or end of a cluster does not let go of the lock on /run"; }
unlock_machine() { exec 7<&-; }

alive() { readlink "/proc/$1/exe" >/dev/null 2>&1; }        # false for a zombie, too
runs() { [ "$(basename "$(readlink "/proc/$1/exe" 2>/dev/null)" | sed 's/ (deleted)$//')" = "$2" ]; }
# process_of PROGRAM: its number, where it is the one that `up` wrote down and still runs that program.
process_of() { local number; number=$(cat "$run/pids/$1" 2>/dev/null) && runs "$number" "$1" && echo "$number"; }

# is_taken PORT: whether something listens there.
is_taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# is_free NUMBER STRENGTH: whether nobody else has what the slot would use, with a cache of their own perhaps.
is_free() {
  local port range
  [ ! -e "/sys/class/net/seatrial${1}h" ] || return 1
  if [ "$2" = control-plane ]; then
    for port in 0 1 2 3; do ! is_taken $((26000 + 10 * $1 + port)) || return 1; done
  else
    for range in "10.199.$1.0/24" "10.$((100 + $1)).0.0/16" "10.244.$1.0/24"; do
      [ -z "$(ip -4 route show table all root "$range")" ] || return 1
    done
  fi
}

# find_slot: sets slot to the number that the cluster has; fails where it has none.
find_slot() {
  local number
  for number in $(seq 0 63); do
    if [ "$(cat "$clusters/slots/$number" 2>/dev/null)" = "$id" ]; then slot=$number; return; fi
  done
  return 1
}

# claim_slot STRENGTH: sets slot, a number that no other cluster on this machine has.
claim_slot() {
  local number
  ! find_slot || return 0
  for number in $(seq 0 63); do
    [ ! -e "$clusters/slots/$number" ] && is_free "$number" "$1" || continue
    # noclobber makes creation atomic: of two at once one wins.
    if (set -o noclobber; echo "$id" >"$clusters/slots/$number") 2>/dev/null; then slot=$number; return; fi
  done
  fail "no slot of 64 is free: end clusters with e2e/cluster/down, remove what is left in $clusters/slots, or see what uses the ports from 26000 or routes in 10.100.0.0/10, 10.199.0.0/16 and 10.244.0.0/16"
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

# wait_for SECONDS WHAT COMMAND...: until the command succeeds. On a machine that has other work all takes long: the
# time is a limit, not what is expected.
wait_for() {
  local deadline=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    if [ $SECONDS -ge $deadline ]; then
      # The logs may be gone by the time that somebody reads this.
      { kubectl get nodes,pods -A -o wide --request-timeout=5s; kubectl get events -A --request-timeout=5s | tail -20; } >&2 || true
      fail "$what did not come in time; look at the logs in $run/logs"
    fi
    sleep 0.1
  done
}
