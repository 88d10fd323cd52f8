"""One front door per namespace: stock Envoy's configuration and the objects that run it. Pure."""
