"""How good embeddings are: metrics, labelled data that needs no network, a table and a picture."""
