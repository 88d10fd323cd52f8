{{- /* What a model without storage of its own gets; nothing where nothing is set. */ -}}
{{- define "paddock.storage" -}}
{{- with .existingClaim }}
claimName: {{ . }}
{{- end }}
{{- with .size }}
size: {{ . }}
{{- end }}
{{- with .storageClass }}
storageClassName: {{ . }}
{{- end }}
{{- with .retain }}
retain: {{ . }}
{{- end }}
{{- end }}
