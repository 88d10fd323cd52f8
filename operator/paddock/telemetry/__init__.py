"""OpenTelemetry: spans of passes and stages, metrics, and the log's lines."""
