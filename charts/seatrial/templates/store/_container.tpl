{{/* What the store is told; see `seatrial-store --help`. */}}
{{- define "seatrial.store.args" -}}
- --data=/data
- --listen=[::]:9000
- --health-listen=[::]:9001
- --host={{ include "seatrial.store.name" . }}.{{ .Release.Namespace }}.svc
- --host={{ include "seatrial.store.name" . }}.{{ .Release.Namespace }}.svc.cluster.local
- --host={{ include "seatrial.store.name" . }}
- --audience={{ .Values.store.audience }}
- --config-map={{ .Release.Namespace }}/{{ include "seatrial.store.authority" . }}
{{- if ne (toString .Values.store.namespaceQuota) "" }}
- --namespace-quota={{ .Values.store.namespaceQuota }}
{{- end }}
- --log-level={{ .Values.store.logLevel }}
{{- end -}}

{{- define "seatrial.store.probes" -}}
startupProbe:
  httpGet: {path: /healthz, port: health}
  periodSeconds: 1
  failureThreshold: 120
livenessProbe:
  httpGet: {path: /healthz, port: health}
  periodSeconds: 10
  timeoutSeconds: 5
readinessProbe:
  httpGet: {path: /readyz, port: health}
  periodSeconds: 5
  timeoutSeconds: 5
{{- end -}}
