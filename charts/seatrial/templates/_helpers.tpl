{{/* The chart's name, or its override. */}}
{{- define "seatrial.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* What all names begin with. 40 characters leave room for what is appended. */}}
{{- define "seatrial.fullname" -}}
{{- $name := include "seatrial.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "seatrial.operator.name" -}}{{ include "seatrial.fullname" . }}-operator{{- end -}}
{{- define "seatrial.store.name" -}}{{ include "seatrial.fullname" . }}-store{{- end -}}

{{/* The name of the ConfigMap in which the store publishes its authority. */}}
{{- define "seatrial.store.authority" -}}{{ include "seatrial.store.name" . }}-authority{{- end -}}

{{- define "seatrial.store.claim" -}}
{{- default (include "seatrial.store.name" .) .Values.store.persistence.existingClaim -}}
{{- end -}}

{{- define "seatrial.operator.serviceAccount" -}}
{{- $account := .Values.operator.serviceAccount -}}
{{- default (ternary (include "seatrial.operator.name" .) "default" $account.create) $account.name -}}
{{- end -}}

{{- define "seatrial.store.serviceAccount" -}}
{{- $account := .Values.store.serviceAccount -}}
{{- default (ternary (include "seatrial.store.name" .) "default" $account.create) $account.name -}}
{{- end -}}

{{/*
Labels of every object. managed-by is Helm's, never `seatrial`: the operator takes whatever bears that for its own.
Call with a dict of root and component.
*/}}
{{- define "seatrial.labels" -}}
{{- $own := dict
  "helm.sh/chart" (printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_")
  "app.kubernetes.io/version" .root.Chart.AppVersion
  "app.kubernetes.io/managed-by" .root.Release.Service
  "app.kubernetes.io/part-of" "seatrial"
-}}
{{- $selector := include "seatrial.selector" . | fromYaml -}}
{{- merge $selector $own .root.Values.commonLabels | toYaml -}}
{{- end -}}

{{/* Labels that select: they never change between versions of the chart. */}}
{{- define "seatrial.selector" -}}
app.kubernetes.io/name: {{ include "seatrial.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* The annotations of an object, if any, as lines of its metadata. Call with a list of dicts, first wins. */}}
{{- define "seatrial.annotations" -}}
{{- $all := dict -}}
{{- range . -}}{{- $all = merge $all (default dict .) -}}{{- end -}}
{{- with $all }}
  annotations:
    {{- toYaml . | nindent 4 }}
{{- end -}}
{{- end -}}

{{/* An image's reference. Call with a dict of root and name. */}}
{{- define "seatrial.image" -}}
{{- $image := .root.Values.image -}}
{{- $digest := get $image.digests .name -}}
{{- if $digest -}}
{{- printf "%s/%s@%s" (trimSuffix "/" $image.prefix) .name $digest -}}
{{- else -}}
{{- printf "%s/%s:%s" (trimSuffix "/" $image.prefix) .name (default .root.Chart.AppVersion $image.tag) -}}
{{- end -}}
{{- end -}}

{{/* What Pod Security level `restricted` asks of a pod and of a container. */}}
{{- define "seatrial.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "seatrial.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* The default store, if there is one: the embedded one, else the one that the values name. */}}
{{- define "seatrial.defaultStore" -}}
{{- if .Values.store.enabled -}}
endpoint: https://{{ include "seatrial.store.name" . }}.{{ .Release.Namespace }}.svc:{{ .Values.store.service.port }}
audience: {{ .Values.store.audience }}
{{- else if .Values.defaultStore.endpoint -}}
endpoint: {{ .Values.defaultStore.endpoint }}
audience: {{ .Values.defaultStore.audience }}
{{- with .Values.defaultStore.certificateAuthority }}
certificateAuthority: {{ . | quote }}
{{- end }}
{{- end -}}
{{- end -}}
