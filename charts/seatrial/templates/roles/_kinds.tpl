{{/*
All kinds, for reading. The definitions themselves say which there are, so a new kind can be read at once; who may
write it is decided in each role.
*/}}
{{- define "seatrial.kinds" -}}
{{- $kinds := list -}}
{{- range $path, $_ := .Files.Glob "files/crds/*.yaml" -}}
{{- $kinds = append $kinds (trimSuffix ".yaml" (base $path)) -}}
{{- end -}}
{{- $kinds | sortAlpha | toJson -}}
{{- end -}}

{{/* The rules of a reader: objects, and their status and scale as subresources. */}}
{{- define "seatrial.readRules" -}}
{{- $kinds := include "seatrial.kinds" . | fromJsonArray -}}
- apiGroups: [seatrial.dev]
  resources:
    {{- range $kinds }}
    - {{ . }}
    {{- end }}
  verbs: [get, list, watch]
- apiGroups: [seatrial.dev]
  resources:
    {{- range $kinds }}
    {{- if ne . "approvals" }}
    - {{ . }}/status
    {{- end }}
    {{- end }}
    - modeldeployments/scale
  verbs: [get]
{{- end -}}

{{/* What was said of objects, for roles that are part of none of Kubernetes' own, which have it already. */}}
{{- define "seatrial.eventRules" -}}
- apiGroups: ["", events.k8s.io]
  resources: [events]
  verbs: [get, list, watch]
{{- end -}}

{{/* The rules of an engineer: pipelines, runs by hand, deployments and their scale. */}}
{{- define "seatrial.editRules" -}}
- apiGroups: [seatrial.dev]
  resources: [mlpipelines, modeldeployments]
  verbs: [create, update, patch, delete, deletecollection]
# A run never changes: it is created, and deleted to stop it. There is no `patch`, since its labels are the operator's:
# make runs by `kubectl create`, not by `kubectl apply --server-side`.
- apiGroups: [seatrial.dev]
  resources: [mlpipelineruns]
  verbs: [create, delete, deletecollection]
- apiGroups: [seatrial.dev]
  resources: [modeldeployments/scale]
  verbs: [update, patch]
{{- end -}}
