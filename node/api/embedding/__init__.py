"""What stands behind `POST /v1/embeddings`: from a user's data to certified embeddings."""
