{{/* A pod of `helm test`: asks a URL until the answer is good. Call with a dict of root, name and url. */}}
{{- define "seatrial.test" -}}
{{- $labels := dict "root" .root "component" "test" -}}
apiVersion: v1
kind: Pod
metadata:
  name: {{ .name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "seatrial.labels" $labels | nindent 4 }}
  annotations:
    helm.sh/hook: test
    helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
    {{- with .root.Values.commonAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  restartPolicy: Never
  activeDeadlineSeconds: 120
  automountServiceAccountToken: false
  enableServiceLinks: false
  {{- with .root.Values.image.pullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . }}
    {{- end }}
  {{- end }}
  securityContext:
    {{- include "seatrial.podSecurityContext" .root | nindent 4 }}
  containers:
    - name: check
      image: {{ include "seatrial.image" (dict "root" .root "name" "operator") }}
      imagePullPolicy: {{ .root.Values.image.pullPolicy }}
      args:
        - check
        - --url={{ .url }}
        - --timeout=60
      resources:
        requests: {cpu: 10m, memory: 16Mi}
        limits: {memory: 64Mi}
      securityContext:
        {{- include "seatrial.securityContext" .root | nindent 8 }}
  {{- with .root.Values.operator.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .root.Values.operator.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}
