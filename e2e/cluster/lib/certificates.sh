# Sourced: makes the cluster's authority, certificates and kubeconfigs, in $run/pki and $run.
# What openssl says goes to the logs: it greets where nothing is wrong.
ssl() { openssl "$@" 2>>"$run/logs/openssl.log"; }

make_key() { ssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1.key"; }

make_authority() {
  make_key "$1"
  ssl req -x509 -new -key "$1.key" -subj "/CN=$1" -days 365 -out "$1.crt" -addext keyUsage=critical,keyCertSign,cRLSign
}

make_certificate() { # NAME AUTHORITY SUBJECT [ALTERNATIVE NAMES]
  make_key "$1"
  ssl req -new -key "$1.key" -subj "$3" |
    ssl x509 -req -CA "$2.crt" -CAkey "$2.key" -CAcreateserial -days 365 -out "$1.crt" -extfile <(
      printf 'keyUsage=digitalSignature\nextendedKeyUsage=clientAuth,serverAuth\n%s' "${4:+subjectAltName=$4}"
    )
}

make_kubeconfig() { # FILE CERTIFICATE SERVER
  cat >"$1" <<Y
apiVersion: v1
kind: Config
current-context: seatrial-$name
clusters: [{name: seatrial, cluster: {server: "$3", certificate-authority-data: $(base64 -w0 ca.crt)}}]
users: [{name: user, user: {client-certificate-data: $(base64 -w0 "$2.crt"), client-key-data: $(base64 -w0 "$2.key")}}]
contexts: [{name: seatrial-$name, context: {cluster: seatrial, user: user}}]
Y
  chmod 0600 "$1"
}

# make_pki ADDRESS PORT: everything, for an API server that is reached there.
make_pki() {
  local server=https://$1:$2 component
  mkdir -p "$run/pki"
  cd "$run/pki"
  make_authority ca
  make_authority front-proxy-ca
  make_authority etcd-ca
  make_certificate etcd etcd-ca /CN=etcd IP:127.0.0.1
  make_key sa
  ssl pkey -in sa.key -pubout -out sa.pub
  make_certificate apiserver ca /CN=kube-apiserver "DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local,DNS:localhost,IP:127.0.0.1,IP:$1,IP:$api_service_ip"
  make_certificate apiserver-kubelet ca /O=system:masters/CN=apiserver-kubelet
  make_certificate front-proxy front-proxy-ca /CN=front-proxy
  make_certificate kubelet-server ca "/CN=$node" "DNS:$node,IP:$1"
  make_certificate admin ca /O=system:masters/CN=admin
  make_certificate kubelet ca "/O=system:nodes/CN=system:node:$node"
  for component in kube-controller-manager kube-scheduler kube-proxy; do make_certificate $component ca /CN=system:$component; done
  for component in admin kubelet kube-controller-manager kube-scheduler kube-proxy; do
    make_kubeconfig "$run/$component.conf" $component "$server"
  done
  cd - >/dev/null
}
