"""How often the bootstrap draws each item."""

import numpy as np
from cdr_eval.harness.statistics.resampling import Bootstrap
from cdr_eval.harness.statistics.scopes import Scopes


def multiplicities(clusters, subsets, resamples, seed):
    """How often each item is drawn, (resamples, items), from sums of credits that single items out."""
    scopes = Scopes.of(list(subsets), {})
    bootstrap = Bootstrap.of(np.asarray(clusters), scopes.subsets, resamples, seed)
    won, _ = bootstrap.sums(np.eye(len(scopes.subsets)), scopes, bootstrap.generator())
    return won.sum(axis=0).T
