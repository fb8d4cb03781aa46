# What a change must pass, and what takes longer. `just` is optional: each line works by hand as it stands here.
# `python` is the interpreter that has the `dev` extra: activate its environment, or put it first in PATH.

# Format, lint, types, import contracts, the default tests.
check: static test

# Format, lint, types, import contracts, and the pages as a web site.
static:
    .ci/checks

# Format the code and mend what the linter can.
format:
    python -m ruff format node protocol scoring config tests && python -m ruff check --fix node protocol scoring config tests

# The default tests.
test:
    python -m pytest -n 2 --dist loadfile

# The tests that the default run leaves out and that need nothing but time.
test-slow:
    python -m pytest -m "(slow or chaos) and not (docker or browser or gpu or minilm)"

# 20,000 scenarios on two cores. It says every 1,000 how far it is: `just sim-long 7000 13000` does the rest.
sim-long first="0" seeds="20000":
    python -m node.cli sim --first {{first}} --seeds {{seeds}} --processes 2

# The references of commands, settings, HTTP API and metrics, after a change of any of them.
docs:
    PYTHONPATH=. python docs/generate_cli_reference.py && PYTHONPATH=. python docs/generate_configuration_reference.py && PYTHONPATH=. python docs/generate_api_reference.py && PYTHONPATH=. python docs/write_metrics.py

# The pages as a web site, in build/site.
site:
    python docs/build_site.py

# The pictures that are drawn from the code and the figures beside the pages; a test holds them to that.
images:
    PYTHONPATH=. python docs/draw_round.py && PYTHONPATH=. python docs/draw_architecture.py && PYTHONPATH=. python docs/draw_trust.py && PYTHONPATH=. python docs/draw_adversaries.py && PYTHONPATH=. python docs/draw_ranking.py && PYTHONPATH=. python docs/draw_drift.py docs/drift.json && PYTHONPATH=. python docs/draw_masks.py
