"""`deltamesh bench ...`: measurements on real encoders and real text."""

from __future__ import annotations

import typer

from node.cli import bench_adversaries, bench_quality, bench_waves

app = typer.Typer(no_args_is_help=True, help="Measure the scoring rule on real encoders.")
app.command("quality")(bench_quality.quality)
app.command("adversaries")(bench_adversaries.adversaries)
app.command("waves")(bench_waves.waves)
