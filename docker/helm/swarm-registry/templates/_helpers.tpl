{{- define "registry.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "registry.image" -}}
{{ .Values.image.repository }}{{ if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ .Values.image.tag }}{{ end }}
{{- end }}

{{- define "registry.secret" -}}
{{ if .Values.secret.create }}{{ .Release.Name }}{{ else }}{{ .Values.existingSecret }}{{ end }}
{{- end }}

{{- /* Keys are copied once, when a pod begins: another secret means other pods. */ -}}
{{- define "registry.secretChecksum" -}}
{{- if .Values.secret.create }}{{ toYaml .Values.secret.data | sha256sum }}
{{- else }}{{ toYaml (lookup "v1" "Secret" .Release.Namespace .Values.existingSecret).data | sha256sum }}
{{- end }}
{{- end }}

{{- /* Replicas that cannot connect are not ready, and the rolling update waits for them. */ -}}
{{- define "registry.connections" -}}
{{- $replicas := .Values.replicas }}
{{- if .Values.autoscaling.enabled }}{{ $replicas = .Values.autoscaling.maxReplicas }}{{ end }}
{{- $needed := mul $replicas (int .Values.config.DATABASE_CONNECTIONS) }}
{{- if and (hasPrefix "postgresql:" .Values.config.DATABASE_URL) (gt $needed (int64 .Values.databaseMaxConnections)) }}
{{- fail (printf "%d replicas of DATABASE_CONNECTIONS %s need more than databaseMaxConnections %d; have PostgreSQL allow more, or lower one of the two" (int $replicas) .Values.config.DATABASE_CONNECTIONS (int .Values.databaseMaxConnections)) }}
{{- end }}
{{- end }}

{{- /* Pod Security Standards, profile `restricted`. */ -}}
{{- define "registry.podSecurity" -}}
runAsNonRoot: true
runAsUser: 1000
runAsGroup: 1000
fsGroup: 1000
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "registry.security" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "registry.env" -}}
envFrom:
  - configMapRef: {name: {{ .Release.Name }}}
env:
  - name: AWS_ACCESS_KEY_ID
    valueFrom: {secretKeyRef: {name: {{ include "registry.secret" . }}, key: AWS_ACCESS_KEY_ID, optional: true}}
  - name: AWS_SECRET_ACCESS_KEY
    valueFrom: {secretKeyRef: {name: {{ include "registry.secret" . }}, key: AWS_SECRET_ACCESS_KEY, optional: true}}
{{- end }}

{{- /* The volume of a secret is readable by the pod's group, which keys refuse to be: their reader gets its own copies, in memory. */ -}}
{{- define "registry.keys" -}}
name: keys
image: {{ include "registry.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
command:
  - install
  - --mode=0400
  - --target-directory=/run/keys
  - /run/secret/pgpass
  - /run/secret/trust.yaml
  - /run/secret/token_keys.yaml
  - /run/secret/tls_certificate.pem
  - /run/secret/tls_key.pem
  - /run/secret/site_ca.pem
  - /run/secret/site_crl.pem
  - /run/secret/update_key.pem
securityContext: {{- include "registry.security" . | nindent 2 }}
resources:
  requests: {memory: 16Mi, cpu: 10m}
  limits: {memory: 64Mi, cpu: 100m}
volumeMounts:
  - {name: secret, mountPath: /run/secret, readOnly: true}
  - {name: keys, mountPath: /run/keys}
{{- end }}
