# Sourced by up and down: settings of the whole machine that a node changes. The first cluster of the machine, whoever
# started it, notes what they were; the end of the last one puts them back. A cluster with a node is known by its link.
# Called under lock_machine.

# What the kubelet sets.
kernel_settings=(vm.overcommit_memory vm.panic_on_oom kernel.panic kernel.panic_on_oops kernel.keys.root_maxkeys kernel.keys.root_maxbytes)
cgroups=/sys/fs/cgroup
# cgroup v2 alone: which controllers the machine's top-level groups have. On cgroup v1 there is no such file.
enabled_controllers=cgroup.subtree_control

remember_machine() {
  [ ! -e "$machine/complete" ] || return 0
  mkdir -p "$machine"
  sysctl "${kernel_settings[@]}" >"$machine/sysctl"
  [ ! -e $cgroups/$enabled_controllers ] || cat $cgroups/$enabled_controllers >"$machine/controllers"
  touch "$machine/complete"
}

# make_group_v2 NAME: a group with all the controllers that the kubelet refuses to go without where the machine has them.
# Groups have those that their parent enables; systemd enables no hugetlb, and cpuset only where a unit asks for it. The
# group enables them for what is beneath it at once: so systemd cannot take them away again, as it does with what it
# sees nobody use.
make_group_v2() {
  local controller group available
  available=" $(cat $cgroups/cgroup.controllers) "
  mkdir -p "$cgroups/$1"
  for controller in cpu cpuset memory hugetlb pids; do
    case $available in *" $controller "*) ;; *) continue ;; esac
    for group in "$cgroups" "$cgroups/$1"; do
      case " $(cat "$group/$enabled_controllers") " in *" $controller "*) continue ;; esac
      (echo "+$controller" >"$group/$enabled_controllers") 2>/dev/null ||
        fail "the cgroup controller $controller cannot be enabled in $group/$enabled_controllers; inside a container, its processes must first be moved to a group of their own, and the cgroups must be writable"
    done
  done
}

# restore_machine: unless another cluster with a node is there.
restore_machine() {
  local links=(/sys/class/net/seatrial*h) controller
  [ ! -e "${links[0]}" ] || return 0
  [ ! -e "$machine/sysctl" ] || sysctl -q -p "$machine/sysctl"
  if [ -e "$machine/controllers" ]; then
    # The kubelet and runc enable all that there are, not only those that we do.
    for controller in $(cat $cgroups/$enabled_controllers); do
      case " $(cat "$machine/controllers") " in *" $controller "*) continue ;; esac
      (echo "-$controller" >$cgroups/$enabled_controllers) 2>/dev/null ||
        say "$(basename "$0"): the cgroup controller $controller stays enabled, since something else on this machine uses it by now"
    done
  fi
  rm -rf "$machine"
  rm -rf /var/lib/cni/results/cni-loopback-*
  # Of every kubelet on the machine, not only of ours.
  runs_here 'kubelet|k3s.*' || rm -rf /var/lib/kubelet/device-plugins
  rmdir /var/log/containers /var/lib/cni/results /var/lib/cni /var/lib/kubelet /run/containerd/s /run/containerd/runc /run/containerd 2>/dev/null
  return 0
}
