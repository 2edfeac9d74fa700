"""What an operator's tools see: metrics, logs, spans."""
