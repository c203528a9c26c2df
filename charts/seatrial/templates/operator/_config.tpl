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
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.agent.env }}
agentEnv:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with include "seatrial.defaultStore" . }}
defaultStore:
  {{- . | nindent 2 }}
{{- end }}
{{- with .Values.readablePrefixes }}
readablePrefixes:
  {{- toYaml . | nindent 2 }}
{{- end }}
runAsNonRoot: {{ .Values.podSecurity.runAsNonRoot }}
{{- end -}}
