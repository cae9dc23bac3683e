{{/* Rights to what belongs to namespaces: in all of them. */}}
{{- define "sallyport.rules" -}}
# What it reads. Of Secrets and ConfigMaps, only those that carry a label of ours or that an object names.
- apiGroups: [""]
  resources: [services, secrets, configmaps]
  verbs: [get, list, watch]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [get, list, watch]
- apiGroups: [gateway.networking.k8s.io]
  resources: [gateways, httproutes, grpcroutes, referencegrants]
  verbs: [get, list, watch]
- apiGroups: [sallyport.dev]
  resources: [apipolicies, backends, gatewayparameters, products, subscriptions]
  verbs: [get, list, watch]
# What it says of them.
- apiGroups: [gateway.networking.k8s.io]
  resources: [gateways/status, httproutes/status, grpcroutes/status]
  verbs: [patch]
- apiGroups: [sallyport.dev]
  resources: [apipolicies/status, backends/status, gatewayparameters/status, products/status, subscriptions/status]
  verbs: [patch]
# What runs each Gateway, in the namespace of the Gateway, and owned by it.
- apiGroups: [""]
  resources: [configmaps, serviceaccounts, services]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [gateway.networking.k8s.io]
  resources: [gateways/finalizers]
  verbs: [update]
{{- end -}}

{{/* Rights to what belongs to no namespace. */}}
{{- define "sallyport.clusterRules" -}}
- apiGroups: [""]
  resources: [namespaces]
  verbs: [get, list, watch]
- apiGroups: [gateway.networking.k8s.io]
  resources: [gatewayclasses]
  verbs: [get, list, watch]
- apiGroups: [gateway.networking.k8s.io]
  resources: [gatewayclasses/status]
  verbs: [patch]
# Whose tokens data planes show.
- apiGroups: [authentication.k8s.io]
  resources: [tokenreviews]
  verbs: [create]
{{- end -}}
