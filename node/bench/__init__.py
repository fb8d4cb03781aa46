"""Benchmarks of the scoring rule on real encoders and real text, all of it offline."""
