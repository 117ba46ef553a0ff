"""`python -m cdr_eval.harness` is `cdr-eval`."""

from .cli.main import main

main()
