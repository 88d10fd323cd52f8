{{- /* Each template that makes an object takes a dictionary: `root`, and `part`, which is operator or
activator. */ -}}
{{- define "paddock.name" -}}
paddock-{{ .part }}
{{- end }}

{{- define "paddock.selector" -}}
app.kubernetes.io/name: paddock
app.kubernetes.io/component: {{ .part }}
{{- end }}

{{- define "paddock.labels" -}}
{{ include "paddock.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
{{- end }}

{{- define "paddock.metadata" -}}
name: {{ include "paddock.name" . }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "paddock.labels" . | nindent 2 }}
{{- end }}

{{- define "paddock.image" -}}
{{- $image := .Values.image -}}
{{ .Values.imageRegistry | default $image.registry }}/{{ $image.repository }}
{{- if $image.digest -}}
@{{ $image.digest }}
{{- else -}}
:{{ $image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}
