{{/* Rights to what belongs to namespaces: in all of them, or in each that is watched. */}}
{{- define "sallyport.rules" -}}
# What it reads. Of Secrets and ConfigMaps, only those that carry a label of ours or that an object names.
- apiGroups: [""]
  resources: [services, secrets, configmaps]
  verbs: [list, watch]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [list, watch]
- apiGroups: [gateway.networking.k8s.io]
  resources: [gateways, httproutes, grpcroutes, referencegrants]
  verbs: [list, watch]
- apiGroups: [networking.k8s.io]
  resources: [ingresses]
  verbs: [list, watch]
- apiGroups: [sallyport.dev]
  resources: [apipolicies, backends, gatewayparameters, products, subscriptions, subscriptionapprovals]
  verbs: [list, watch]
# What it says of them.
- apiGroups: [gateway.networking.k8s.io]
  resources: [gateways/status, httproutes/status, grpcroutes/status]
  verbs: [patch]
- apiGroups: [networking.k8s.io]
  resources: [ingresses/status]
  verbs: [patch]
- apiGroups: [sallyport.dev]
  resources: [apipolicies/status, backends/status, gatewayparameters/status, products/status, subscriptions/status, subscriptionapprovals/status]
  verbs: [patch]
# Keys of Subscriptions, in Secrets that are not there yet, or that it made itself. None is ever deleted by it.
- apiGroups: [""]
  resources: [secrets]
  verbs: [create, patch]
# What runs each Gateway, in the namespace of the Gateway, and owned by it.
- apiGroups: [""]
  resources: [configmaps, serviceaccounts, services]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [gateway.networking.k8s.io]
  resources: [gateways/finalizers]
  verbs: [update]
# What has become of them, for `kubectl describe`.
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end -}}

{{/* Rights to what belongs to no namespace. */}}
{{- define "sallyport.clusterRules" -}}
- apiGroups: [""]
  resources: [namespaces]
  verbs: [list, watch]
- apiGroups: [gateway.networking.k8s.io]
  resources: [gatewayclasses]
  verbs: [list, watch]
- apiGroups: [networking.k8s.io]
  resources: [ingressclasses]
  verbs: [list, watch]
- apiGroups: [gateway.networking.k8s.io]
  resources: [gatewayclasses/status]
  verbs: [patch]
# Whose tokens data planes show.
- apiGroups: [authentication.k8s.io]
  resources: [tokenreviews]
  verbs: [create]
{{- end -}}

{{/* Rights in the namespace of the release: its own authority, and the lease of the replica that writes. */}}
{{- define "sallyport.ownRules" -}}
- apiGroups: [""]
  resources: [secrets]
  verbs: [create]
- apiGroups: [""]
  resources: [secrets]
  resourceNames: [{{ .Release.Name }}-authority]
  verbs: [get, update]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [{{ include "sallyport.name" . }}]
  verbs: [get, patch]
{{- end -}}

{{/* There as well, where only some namespaces are watched: its other replicas, and parameters of its class. */}}
{{- define "sallyport.homeRules" -}}
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [list, watch]
- apiGroups: [sallyport.dev]
  resources: [gatewayparameters]
  verbs: [list, watch]
- apiGroups: [sallyport.dev]
  resources: [gatewayparameters/status]
  verbs: [patch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end -}}

{{/* In `default` then: where the API server is, for no Backend may lead there, and Events about what is in no namespace. */}}
{{- define "sallyport.defaultRules" -}}
- apiGroups: [""]
  resources: [services]
  resourceNames: [kubernetes]
  verbs: [list, watch]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  resourceNames: [kubernetes]
  verbs: [list, watch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end -}}


{{/* What people may do with our kinds in a namespace: who may view it, */}}
{{- define "sallyport.viewRules" -}}
- apiGroups: [sallyport.dev]
  resources: [apipolicies, backends, gatewayparameters, products, subscriptions, subscriptionapprovals]
  verbs: [get, list, watch]
{{- end -}}

{{/* who may change what runs in it, */}}
{{- define "sallyport.editRules" -}}
- apiGroups: [sallyport.dev]
  resources: [apipolicies, backends, gatewayparameters, subscriptions]
  verbs: [create, update, patch, delete, deletecollection]
{{- end -}}

{{/* and who owns it: what is offered to others, and to whom. Nobody is given keys: they are Secrets. */}}
{{- define "sallyport.adminRules" -}}
- apiGroups: [sallyport.dev]
  resources: [products, subscriptionapprovals]
  verbs: [create, update, patch, delete, deletecollection]
{{- end -}}
