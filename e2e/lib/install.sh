# For scripts that install Seatrial on a cluster and apply the example. Sourced from the checkout's root.

# prepare_cluster NAME: the cluster that a person names, else a local one, which is started. Sets KUBECONFIG for this
# script alone; a person's is never used.
prepare_cluster() {
  local tools
  tools=$(e2e/cluster/tools)
  export PATH="$tools:$PATH"
  if [ -z "${SEATRIAL_KUBECONFIG:-}" ]; then
    e2e/images/build pause coredns
    e2e/cluster/up --name "$1" >/dev/null
  fi
  KUBECONFIG=$(e2e/cluster/kubeconfig --name "$1")
  export KUBECONFIG
}

# bring_images NAME IMAGE...: builds what changed, and brings it to the cluster.
bring_images() {
  local name=$1
  shift
  e2e/images/build "$@"
  if [ -n "${SEATRIAL_KUBECONFIG:-}" ] && [ -z "${IMAGE_PREFIX:-}${IMAGE_LOAD:-}" ]; then
    echo "no way to bring images to this cluster: set IMAGE_PREFIX (a registry to push to) or IMAGE_LOAD (a command that takes an archive)" >&2
    return 1
  fi
  e2e/images/load --cluster "$name"
}

# install_chart [ARGUMENTS...]: installs or upgrades, and waits until all is ready.
install_chart() {
  helm upgrade --install seatrial charts/seatrial --namespace seatrial-system --create-namespace \
    --set image.prefix="${IMAGE_PREFIX:-registry.local/seatrial}" --set image.tag="${SEATRIAL_TAG:-dev}" \
    --wait --timeout 3m "$@" >/dev/null
}

# apply_example: with the images where they were brought.
apply_example() {
  local file
  for file in examples/mortgage/[0-9]*.yaml; do
    sed "s#registry.local/seatrial/#${IMAGE_PREFIX:-registry.local/seatrial}/#" "$file" | kubectl apply --server-side -f -
  done
}

# condition KIND NAME TYPE: its status, in the example's namespace.
condition() {
  kubectl -n mortgage get "$1" "$2" -o jsonpath="{.status.conditions[?(@.type=='$3')].status}"
}
