"""Hub: how do runs, stores and cards travel? As plain folders whose every file has a digest."""
