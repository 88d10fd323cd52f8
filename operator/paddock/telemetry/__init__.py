"""OpenTelemetry: spans of passes and stages."""
