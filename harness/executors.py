"""Where units are scored, as the user said: in this process, in several, or on workers of Ray.

Torch and Ray are imported when an executor is opened.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

from ..errors import UserError
from .options import Loading
from .running.ray_address import address_of
from .running.this_process import ThisProcess
from .running.work_units import Executor, ScorerSettings
from .scoring.load_options import LoadOptions, load_options
from .scoring.opening import scorer_kind

if TYPE_CHECKING:
    from ..model_registry.checkpoint_files import LocalCheckpoint
    from .generation.blocks import Block, Rows, SamplingJob
    from .running.ray_pool import RayPool


def check_executor(options: Loading) -> None:
    """Raise UserError for executors that there are not, or that do not go together."""
    if options.executor is not None:
        address_of(options.executor)
        if options.tensor_parallel > 1:
            raise UserError("--tensor-parallel spreads a model over processes of this machine: leave --executor out.")
    if options.offload and (options.executor is not None or options.tensor_parallel > 1):
        raise UserError("--offload is for one process: leave --executor and --tensor-parallel out.")
    if options.tensor_parallel > 1 and options.scorer.startswith("lm-eval"):
        raise UserError(
            "--tensor-parallel is for the scorers shared-prefix and reference; tell lm-eval's model itself."
        )


def check_whole(found: "Sequence[LocalCheckpoint]") -> None:
    """Raise UserError where a checkpoint cannot be spread over processes."""
    for local in found:
        if local.adapter is not None or local.gguf is not None:
            what = "an adapter" if local.adapter is not None else "a GGUF file"
            raise UserError(
                f"--tensor-parallel spreads a folder of whole weights, and {local.name} is {what}: leave it out."
            )


@contextmanager
def open_executor(options: Loading) -> Generator[Callable[[], Executor]]:
    """Gives a run's executor, opened when it is first asked for; whatever it has started ends with the context.

    Asking raises UserError.
    """
    check_executor(options)
    with ExitStack() as stack:

        @cache
        def opened() -> Executor:
            return stack.enter_context(_executor(options))

        yield opened


def this_process(options: Loading) -> ThisProcess:
    """Scoring in this process. Raises UserError for a device or scorer that there is not."""
    return ThisProcess(_settings(options, _load(options)))


@contextmanager
def open_pool(options: Loading, executor: str) -> Generator["RayPool"]:
    """Workers of Ray, at the address in `executor` or of our own. Raises UserError."""
    from .running.ray_cluster import RayCluster, worker_load
    from .running.ray_pool import RayPool

    cluster = RayCluster(address_of(executor))
    try:
        pool = RayPool(cluster, worker_load(options, cluster))
        try:
            yield pool
        finally:
            pool.release()
    finally:
        cluster.close()


@dataclass(frozen=True, slots=True)
class SamplingExecutor:
    """What samples blocks."""

    load: LoadOptions
    sampled: "Callable[[SamplingJob, Iterator[Block]], Iterator[Rows]]"
    """The rows of blocks, as they come."""
    place: Callable[[], str]
    """Where that was, as the sampling record tells it."""


@contextmanager
def sampling_executor(options: Loading) -> Generator[SamplingExecutor]:
    """What samples in a run; whatever it has started ends with it. Raises UserError."""
    if options.executor is None:
        from .generation.blocks import in_this_process

        yield SamplingExecutor(_load(options), in_this_process, lambda: "this process")
        return
    with open_pool(options, options.executor) as pool:

        def sampled(job: "SamplingJob", blocks: "Iterator[Block]") -> "Iterator[Rows]":
            return (rows for _, _, rows in pool.run([(job, blocks)]))

        yield SamplingExecutor(pool.load, sampled, lambda: pool.place)


@contextmanager
def _executor(options: Loading) -> Generator[Executor]:
    if options.executor is not None:
        with open_pool(options, options.executor) as pool:
            from .running.ray_workers import RayWorkers

            yield RayWorkers(_settings(options, pool.load), pool)
        return
    executor = this_process(options) if options.tensor_parallel == 1 else _tensor_parallel(options)
    try:
        yield executor
    finally:
        executor.release()


def _tensor_parallel(options: Loading) -> Executor:
    import torch

    from .running.tensor_parallel import TensorParallel

    count, load = options.tensor_parallel, _load(options)
    if load.device not in {"cpu", "cuda"}:
        raise UserError(f"--tensor-parallel runs on cpu or on the first GPUs (cuda), not on {load.device}.")
    if load.device == "cuda" and torch.cuda.device_count() < count:
        raise UserError(f"This machine has {torch.cuda.device_count()} GPUs, fewer than --tensor-parallel {count}.")
    return TensorParallel(_settings(options, replace(load, tensor_parallel=count)))


def _load(options: Loading) -> LoadOptions:
    load = load_options(options.device, options.dtype, options.trust_remote_code, options.allow_pickle)
    return replace(load, offload=options.offload)


def _settings(options: Loading, load: LoadOptions) -> ScorerSettings:
    kind = scorer_kind(options.scorer, served=bool(options.urls), quantise=options.quantise)
    urls = {name: url for name, _, url in (text.partition("=") for text in options.urls)}
    load = replace(load, quantise=options.quantise)
    return ScorerSettings(options.scorer, kind, load, options.batch_tokens, options.max_length, urls)
