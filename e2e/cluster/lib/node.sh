# Sourced by up: what a node needs besides the control plane.

# The whole node lives in one network namespace with one link to this machine and no default route: nothing inside can
# leave the machine, and all its rules vanish with it.
make_network() {
  touch "$netns"
  unshare --net="$netns" true
  ip link add "$host_link" type veth peer name "$node_link"
  ip link set "$node_link" netns "$netns"
  ip addr add "$host_ip/30" dev "$host_link"
  ip link set "$host_link" up
  in_node ip link set lo up
  in_node ip addr add "$node_ip/30" dev "$node_link"
  in_node ip link set "$node_link" up
  in_node ip route add "$service_cidr" dev "$node_link"   # any route will do: kube-proxy rewrites it
  in_node sysctl -qw net.ipv4.ip_forward=1
  in_node sysctl -qw net.bridge.bridge-nf-call-iptables=1 2>/dev/null || true
  ip route add "$service_cidr" via "$node_ip"             # services and pods can be reached from this machine, too
  ip route add "$pod_cidr" via "$node_ip"
}

render() { # TEMPLATE INTO
  sed -e "s#@RUN@#$run#g; s#@SOCKET@#$containerd_socket#g; s#@ROOT@#$containerd_root#g; s#@NODE@#$node#g" \
    -e "s#@POD_CIDR@#$pod_cidr#g; s#@DNS_IP@#$dns_ip#g; s#@CGROUP@#$cgroup#g; s#@SLOT@#$slot#g" "$cluster_folder/config/$1" >"$2"
}

start_containerd() {
  mkdir -p "$run"/{cni/net.d,certs.d,kubelet,containerd,pod-logs,volumes} "$containerd_root/imported"
  : >"$run/resolv.conf"
  render containerd.toml "$run/containerd.toml"
  render cni.conflist "$run/cni/net.d/10-pods.conflist"
  render kubelet.yaml "$run/kubelet.yaml"
  render kube-proxy.yaml "$run/kube-proxy.yaml"
  render cluster.yaml "$run/cluster.yaml"
  start containerd containerd --config "$run/containerd.toml"
}

# Imports what a node cannot start without.
import_images() {
  wait_for 60 "containerd" ctr_k8s version
  "$cluster_folder/../images/load" --cluster "$name" pause coredns
}

# The node's own group: all its pods are beneath it.
make_cgroup() {
  local hierarchy file
  if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    make_group_v2 "$cgroup"
  else
    for hierarchy in /sys/fs/cgroup/*/; do
      [ -L "${hierarchy%/}" ] || [ ! -e "$hierarchy/cgroup.procs" ] || mkdir -p "$hierarchy$cgroup"
    done
    # A new cpuset has no processors and takes no process until it is told which.
    for file in cpuset.cpus cpuset.mems; do
      [ ! -e "/sys/fs/cgroup/cpuset/$file" ] || cat "/sys/fs/cgroup/cpuset/$file" >"/sys/fs/cgroup/cpuset/$cgroup/$file"
    done
  fi
}

start_node() {
  local volume
  start kube-scheduler kube-scheduler --kubeconfig="$run/kube-scheduler.conf" \
    --authentication-kubeconfig="$run/kube-scheduler.conf" --authorization-kubeconfig="$run/kube-scheduler.conf" \
    --bind-address=127.0.0.1 --leader-elect=false
  start kubelet kubelet --config="$run/kubelet.yaml" --kubeconfig="$run/kubelet.conf" \
    --root-dir="$run/kubelet" --hostname-override="$node" --node-ip="$node_ip"
  start kube-proxy kube-proxy --config="$run/kube-proxy.yaml"
  wait_for 180 "the node" sh -c "kubectl get node $node -o jsonpath='{.status.conditions[?(@.type==\"Ready\")].status}' | grep -q True"
  for volume in 1 2 3; do mkdir -p -m 0777 "$run/volumes/$volume"; chmod 0777 "$run/volumes/$volume"; done
  kubectl apply --server-side -f "$run/cluster.yaml" >/dev/null
  wait_for 180 "DNS" sh -c "kubectl -n kube-system get deployment coredns -o jsonpath='{.status.availableReplicas}' | grep -q 1"
}
