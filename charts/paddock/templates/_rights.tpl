{{- /* An account; the rules that hold wherever models are served, and those of the own namespace. */ -}}
{{- define "paddock.account" -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  {{- include "paddock.metadata" . | nindent 2 }}
  {{- with .root.Values.serviceAccountAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{- define "paddock.clusterRights" -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: {{ include "paddock.name" . }}
  labels:
    {{- include "paddock.labels" . | nindent 4 }}
rules:
  {{- .rules | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: {{ include "paddock.name" . }}
  labels:
    {{- include "paddock.labels" . | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: {{ include "paddock.name" . }}
subjects:
  - kind: ServiceAccount
    name: {{ include "paddock.name" . }}
    namespace: {{ .root.Release.Namespace }}
{{- end }}

{{- define "paddock.rights" -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  {{- include "paddock.metadata" . | nindent 2 }}
rules:
  {{- .rules | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  {{- include "paddock.metadata" . | nindent 2 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: {{ include "paddock.name" . }}
subjects:
  - kind: ServiceAccount
    name: {{ include "paddock.name" . }}
    namespace: {{ .root.Release.Namespace }}
{{- end }}
