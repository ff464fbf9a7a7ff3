"""What operations do: keep figures, tell alerts, make indexes."""
