# Sourced, from the checkout's root, by scripts that install Seatrial on a cluster and apply the example.
. e2e/lib/environment.sh

# prepare_cluster NAME: the cluster that a person names, else a local one, which is started. Says which, and sets
# KUBECONFIG for this script alone; a person's is never used.
prepare_cluster() {
  local tools file
  tools=$(e2e/cluster/tools)
  export PATH="$tools:$PATH"
  [ -n "${SEATRIAL_KUBECONFIG:-}" ] || e2e/cluster/up --name "$1" >/dev/null
  file=$(e2e/cluster/kubeconfig --name "$1")
  export KUBECONFIG=$file
  echo "      $(kubectl config current-context), $(kubectl version -o json | sed -n 's/.*"gitVersion": "\(.*\)".*/\1/p' | tail -1)"
}

# bring_images NAME IMAGE...: builds what changed, and brings it to the cluster.
bring_images() {
  local name=$1
  shift
  if [ -n "${SEATRIAL_KUBECONFIG:-}" ] && [ -z "${IMAGE_PREFIX:-}${IMAGE_LOAD:-}" ]; then
    echo "no way to bring images to this cluster: set IMAGE_PREFIX (a registry to push to) or IMAGE_LOAD (a command that takes an archive)" >&2
    return 1
  fi
  e2e/images/build "$@"
  e2e/images/load --cluster "$name" "$@"
}

# build_of IMAGE: what tells builds of one tag apart: the hash in the archive's name.
build_of() { basename "$(readlink -e "target/images/$1.tar")" .tar; }

# install_chart [ARGUMENTS...]: installs or upgrades, and waits until all is ready. Pods know which build they are of: a
# new one of the same tag replaces them.
install_chart() {
  local operator store policy=IfNotPresent
  operator=$(build_of operator)
  store=$(build_of store)
  # Nodes that had an earlier push of the tag must look again.
  [ -z "${IMAGE_PREFIX:-}" ] || policy=Always
  helm upgrade --install seatrial charts/seatrial --namespace seatrial-system --create-namespace \
    --set-string image.prefix="${IMAGE_PREFIX:-registry.local/seatrial}" --set-string image.tag="${SEATRIAL_TAG:-dev}" \
    --set-string image.pullPolicy=$policy \
    --set-string operator.podAnnotations.build="$operator" --set-string store.podAnnotations.build="$store" \
    --wait --timeout 5m "$@" >/dev/null
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

# try COMMAND...: again for half a minute where it fails: what answers late on a busy machine is no failure.
try() {
  local deadline=$((SECONDS + 30))
  until "$@"; do
    [ $SECONDS -lt $deadline ] || return 1
    sleep 0.5
  done
}
