"""Export: how does a policy or a world leave Shadowbox? As ONNX, as a page, as one file."""
