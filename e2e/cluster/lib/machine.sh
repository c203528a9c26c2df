# Sourced by up and down: settings of the whole machine that a node changes. The first cluster of the machine, whoever
# started it, notes what they were; the end of the last one puts them back. A cluster with a node is known by its link.
# Called under lock_machine.

# What the kubelet sets.
kernel_settings=(vm.overcommit_memory vm.panic_on_oom kernel.panic kernel.panic_on_oops kernel.keys.root_maxkeys kernel.keys.root_maxbytes)
# cgroup v2 alone: which controllers the machine's top-level groups have. What does not exist is never read.
enabled_controllers=/sys/fs/cgroup/cgroup.subtree_control

remember_machine() {
  [ ! -e "$machine/complete" ] || return 0
  mkdir -p "$machine"
  sysctl "${kernel_settings[@]}" >"$machine/sysctl"
  [ ! -e $enabled_controllers ] || cat $enabled_controllers >"$machine/controllers"
  touch "$machine/complete"
}

# enable_controllers: cgroup v2 alone. The kubelet refuses a root group that lacks one of these where the machine has
# it; groups have those that their parent enables. systemd enables no hugetlb, and cpuset only where a unit asks for it.
enable_controllers() {
  local controller available
  available=" $(cat /sys/fs/cgroup/cgroup.controllers) "
  for controller in cpu cpuset memory hugetlb pids; do
    case $available in *" $controller "*) ;; *) continue ;; esac
    case " $(cat $enabled_controllers) " in *" $controller "*) continue ;; esac
    (echo "+$controller" >$enabled_controllers) 2>/dev/null ||
      fail "the cgroup controller $controller cannot be enabled in $enabled_controllers; inside a container, its processes must first be moved to a group of their own, and the cgroups must be writable"
  done
}

# restore_machine: unless another cluster with a node is there.
restore_machine() {
  local links=(/sys/class/net/seatrial*h) controller
  [ ! -e "${links[0]}" ] || return 0
  [ ! -e "$machine/sysctl" ] || sysctl -q -p "$machine/sysctl"
  if [ -e "$machine/controllers" ]; then
    # The kubelet and runc enable all that there are, not only those that we do.
    for controller in $(cat $enabled_controllers); do
      case " $(cat "$machine/controllers") " in *" $controller "*) continue ;; esac
      (echo "-$controller" >$enabled_controllers) 2>/dev/null ||
        say "$(basename "$0"): the cgroup controller $controller stays enabled, since something else on this machine uses it by now"
    done
  fi
  rm -rf "$machine"
  rm -rf /var/lib/cni/results/cni-loopback-*
  # Of every kubelet on the machine, not only of ours.
  [ -n "$(pgrep -x 'kubelet|k3s.*')" ] || rm -rf /var/lib/kubelet/device-plugins
  rmdir /var/log/containers /var/lib/cni/results /var/lib/cni /var/lib/kubelet /run/containerd/s /run/containerd/runc /run/containerd 2>/dev/null
  return 0
}
