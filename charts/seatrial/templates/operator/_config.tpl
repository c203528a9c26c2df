{{/* The operator's configuration file. */}}
{{- define "seatrial.operator.config" -}}
agentImage: {{ include "seatrial.image" (dict "root" . "name" "agent") }}
agentImagePullPolicy: {{ default .Values.image.pullPolicy .Values.agent.pullPolicy }}
{{- $secrets := ternary .Values.image.pullSecrets .Values.agent.pullSecrets (kindIs "invalid" .Values.agent.pullSecrets) }}
{{- with $secrets }}
agentImagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.agent.resources }}
agentResources:
  {{- include "seatrial.operator.resources" . | nindent 2 }}
{{- end }}
{{- if .Values.judge.enabled }}
judge:
  image: {{ include "seatrial.image" (dict "root" . "name" "evidence") }}
  {{- with .Values.judge.resources }}
  resources:
    {{- include "seatrial.operator.resources" . | nindent 4 }}
  {{- end }}
{{- end }}
{{- if .Values.admissionPolicy.enabled }}
approvalPolicy: {{ include "seatrial.approvalPolicy" . }}
{{- end }}
{{- with .Values.agent.env }}
agentEnv:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.agent.caBundle }}
agentAuthorities: {{ . | quote }}
{{- end }}
{{- with include "seatrial.defaultStore" . }}
defaultStore:
  {{- . | nindent 2 }}
{{- end }}
{{- with .Values.readablePrefixes }}
readablePrefixes:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.podSecurity }}
runAsNonRoot: {{ .runAsNonRoot }}
{{- if not (kindIs "invalid" .runAsUser) }}
agentRunAsUser: {{ int64 .runAsUser }}
{{- end }}
{{- if not (kindIs "invalid" .runAsGroup) }}
agentRunAsGroup: {{ int64 .runAsGroup }}
{{- end }}
{{- end }}
agentReadinessProbe: {{ .Values.agent.readinessProbe }}
ttlSecondsAfterFinished: {{ int64 .Values.jobs.ttlSecondsAfterFinished }}
{{- end -}}

{{/*
The policy that proves who writes Approvals, and its binding. A release whose policy says something else gives it another
name: an object that was changed proves nothing.
*/}}
{{- define "seatrial.approvalPolicy" -}}
{{ include "seatrial.fullname" . }}-approvals-v1
{{- end -}}

{{/* Requests and limits. As text, also where somebody wrote a number: `cpu: 1`. */}}
{{- define "seatrial.operator.resources" -}}
{{- range $kind, $quantities := . }}
{{ $kind }}:
  {{- range $resource, $quantity := $quantities }}
  {{ $resource }}: {{ printf "%v" $quantity | quote }}
  {{- else }} {}
  {{- end }}
{{- end }}
{{- end -}}
