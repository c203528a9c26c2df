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

{{/* Never the namespace's account `default`, unless a person names it: every pod of the namespace would get the rights. */}}
{{- define "seatrial.operator.serviceAccount" -}}
{{- $account := .Values.operator.serviceAccount -}}
{{- if not (or $account.create $account.name) -}}
{{- fail "operator.serviceAccount.create is false: say in operator.serviceAccount.name which account the operator has" -}}
{{- end -}}
{{- default (include "seatrial.operator.name" .) $account.name -}}
{{- end -}}

{{- define "seatrial.store.serviceAccount" -}}
{{- $account := .Values.store.serviceAccount -}}
{{- if not (or $account.create $account.name) -}}
{{- fail "store.serviceAccount.create is false: say in store.serviceAccount.name which account the store has" -}}
{{- end -}}
{{- default (include "seatrial.store.name" .) $account.name -}}
{{- end -}}

{{/*
Labels of every object. managed-by is Helm's.
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

{{/*
Labels of a pod. Neither the chart's version nor the application's is among them: a pod is replaced only when it would
run something else. Call with a dict of root, component and more, the labels of this pod alone.
*/}}
{{- define "seatrial.podLabels" -}}
{{- merge (include "seatrial.selector" . | fromYaml) .more .root.Values.commonLabels | toYaml -}}
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
{{- with .Values.podSecurity }}
{{- if not (kindIs "invalid" .runAsUser) }}
runAsUser: {{ int64 .runAsUser }}
{{- end }}
{{- if not (kindIs "invalid" .runAsGroup) }}
runAsGroup: {{ int64 .runAsGroup }}
{{- end }}
{{- end }}
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "seatrial.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/*
The default store, if there is one: the embedded one, else the one that the values name. The embedded one publishes its
authority; the operator waits for it. Of another one, no authority means the public ones.
*/}}
{{- define "seatrial.defaultStore" -}}
{{- if .Values.store.enabled -}}
{{- if .Values.defaultStore.endpoint -}}
{{- fail "defaultStore.endpoint and store.enabled exclude each other: set store.enabled=false to use another store than the embedded one" -}}
{{- end -}}
endpoint: https://{{ include "seatrial.store.name" . }}.{{ .Release.Namespace }}.svc:{{ .Values.store.service.port }}
audience: {{ .Values.store.audience | quote }}
authorityIsPublished: true
{{- else if .Values.defaultStore.endpoint -}}
endpoint: {{ .Values.defaultStore.endpoint }}
audience: {{ .Values.defaultStore.audience | quote }}
{{- with .Values.defaultStore.certificateAuthority }}
certificateAuthority: {{ . | quote }}
{{- end }}
{{- end -}}
{{- end -}}
