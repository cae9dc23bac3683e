{{/* Name of everything that the controller is made of. */}}
{{- define "sallyport.name" -}}
{{- printf "%s-controller" .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* Name of what belongs to no namespace: releases of one name in two namespaces have their own. */}}
{{- define "sallyport.clusterName" -}}
{{- printf "%s:%s" .Release.Namespace (include "sallyport.name" .) -}}
{{- end -}}

{{- define "sallyport.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (include "sallyport.name" .) -}}
{{- end -}}

{{/* By what the controller's pods are found. They never change. */}}
{{- define "sallyport.selector" -}}
app.kubernetes.io/name: sallyport-controller
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "sallyport.labels" -}}
{{- with .Values.commonLabels }}{{ toYaml . }}
{{ end -}}
{{ include "sallyport.selector" . }}
app.kubernetes.io/part-of: sallyport
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{/* Who is given rights. */}}
{{- define "sallyport.subject" -}}
- {kind: ServiceAccount, name: {{ include "sallyport.serviceAccount" . }}, namespace: {{ .Release.Namespace }}}
{{- end -}}
