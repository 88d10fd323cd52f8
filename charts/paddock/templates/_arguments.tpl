{{- /* The operator's command line; what is not set here has the operator's own default. */ -}}
{{- define "paddock.arguments" -}}
- operator
- {{ printf "--operator-image=%v" (include "paddock.image" .) | quote }}
{{- with .Values.imageRegistry }}
- {{ printf "--image-registry=%v" . | quote }}
{{- end }}
{{- with .Values.engineImages.ollama }}
- {{ printf "--ollama-image=%v" . | quote }}
{{- end }}
{{- with .Values.engineImages.llamaCpp }}
- {{ printf "--llama-cpp-image=%v" . | quote }}
{{- end }}
{{- with .Values.engineImages.vllm }}
- {{ printf "--vllm-image=%v" . | quote }}
{{- end }}
{{- range .Values.sources.allowedHosts }}
- {{ printf "--allow-host=%v" . | quote }}
{{- end }}
{{- range .Values.sources.allowedCidrs }}
- {{ printf "--allow-cidr=%v" . | quote }}
{{- end }}
{{- if .Values.sources.allowHttp }}
- --allow-http
{{- end }}
{{- with .Values.sources.huggingFaceEndpoint }}
- {{ printf "--hf-endpoint=%v" . | quote }}
{{- end }}
{{- with .Values.sources.ollamaRegistry }}
- {{ printf "--ollama-registry=%v" . | quote }}
{{- end }}
{{- with .Values.telemetry.collectorImage }}
- {{ printf "--collector-image=%v" . | quote }}
{{- end }}
{{- with .Values.telemetry.otlpEndpoint }}
- {{ printf "--otlp-endpoint=%v" . | quote }}
{{- end }}
{{- with .Values.envoyImage }}
- {{ printf "--envoy-image=%v" . | quote }}
{{- end }}
{{- with .Values.exposure.gateway }}
- {{ printf "--parent-gateway=%v" . | quote }}
{{- end }}
{{- range .Values.exposure.controllerNamespaces }}
- {{ printf "--controller-namespace=%v" . | quote }}
{{- end }}
{{- if .Values.exposure.inferenceExtension }}
- --inference-extension
{{- end }}
- {{ printf "--cluster-domain=%v" .Values.clusterDomain | quote }}
- {{ printf "--gpu-type-label=%v" .Values.gpuTypeLabel | quote }}
{{- with .Values.defaults.gpuRuntimeClassName }}
- {{ printf "--gpu-runtime-class=%v" . | quote }}
{{- end }}
{{- with .Values.defaults.priorityClassName }}
- {{ printf "--priority-class=%v" . | quote }}
{{- end }}
- {{ printf "--gpu-resource=%v" .Values.defaults.gpuResourceName | quote }}
- {{ printf "--writes-per-second=%v" .Values.writesPerSecond | quote }}
{{- end }}
