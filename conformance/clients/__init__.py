"""Programs that drive the official SDKs, each runnable under an interpreter of its own: they import only the SDK."""
