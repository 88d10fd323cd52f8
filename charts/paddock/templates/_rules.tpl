{{- /* What the operator may do where it serves models, and what it does: a test compares both with the
apiserver's audit log. Nothing here is a Secret, and no claim can be deleted. */ -}}
{{- define "paddock.rules" -}}
- apiGroups: [paddock.dev]
  resources: [localmodels, inferencepools]
  verbs: [get, list, watch]
- apiGroups: [paddock.dev]
  resources: [localmodels]
  verbs: [patch]
- apiGroups: [paddock.dev]
  resources: [localmodels/status, inferencepools/status]
  verbs: [patch]
- apiGroups: [""]
  resources: [persistentvolumeclaims, services]
  verbs: [get, list, watch, create, patch]
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [apps]
  resources: [deployments/scale]
  verbs: [patch]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies, ingresses]
  verbs: [get, list, watch, create, patch, delete]
{{- if .Values.exposure.gateway }}
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes]
  verbs: [get, list, watch, create, patch, delete]
{{- end }}
{{- if .Values.exposure.inferenceExtension }}
- apiGroups: [inference.networking.k8s.io]
  resources: [inferencepools]
  verbs: [get, list, watch, create, patch, delete]
{{- end }}
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch, patch]
- apiGroups: [""]
  resources: [events]
  verbs: [get, list, create, patch]
{{- end }}

{{- /* What it may do in its own namespace, to elect a leader. */ -}}
{{- define "paddock.leaseRules" -}}
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [paddock-operator]
  verbs: [get, update]
{{- end }}

{{- /* What the activator may do where pools are: see them, wake them, find their pods. */ -}}
{{- define "paddock.activatorRules" -}}
- apiGroups: [paddock.dev]
  resources: [inferencepools]
  verbs: [get]
- apiGroups: [apps]
  resources: [deployments/scale]
  verbs: [get, patch]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [list, watch]
{{- end }}
