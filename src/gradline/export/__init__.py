"""A model written for other engines: SQL, a Python function, JSON, ONNX; each checked against the model on real rows."""
