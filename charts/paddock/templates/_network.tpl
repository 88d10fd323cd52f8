{{- define "paddock.ourPods" -}}
{{ if .Values.clusterWide }}namespaceSelector: {}
{{ end }}podSelector:
  matchLabels:
    app.kubernetes.io/managed-by: paddock
{{- end }}

{{- /* Out to names, the apiserver, and these ports of the pods that Paddock makes. */ -}}
{{- define "paddock.egress" -}}
- ports:
    - port: 53
      protocol: UDP
    - port: 53
      protocol: TCP
- ports:
    {{- range .root.Values.networkPolicy.apiServerPorts }}
    - port: {{ . }}
      protocol: TCP
    {{- end }}
- to:
    - {{ include "paddock.ourPods" .root | indent 6 | trim }}
  ports:
    {{- range .ports }}
    - port: {{ . }}
      protocol: TCP
    {{- end }}
{{- end }}
