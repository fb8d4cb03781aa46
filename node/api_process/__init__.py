"""The HTTP API in a process of its own: whatever is asked of it, a round keeps its interpreter."""
