"""Many runs at once: here, in several processes, or on a cluster, and none of them lost with another.

A *job* is anything that pickles and has a ``name`` and a number of ``steps``. A *job function* is called as
``function(job, report)`` and returns a value that pickles. It calls ``report(step)`` with each step that it has done,
which moves the bar. It is interrupted by a ``KeyboardInterrupt``, which comes at any place, or out of ``report`` where
the engine has no other way: it saves what it needs to go on, and raises it again.
"""

from __future__ import annotations

import math
import os
import pickle
import queue
import signal
import sys
import threading
import time
import traceback
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import connection, get_context, parent_process, resource_tracker
from typing import Any, Protocol, TypeVar

from tqdm import tqdm

RETRIES = 2  # of a job whose process was killed
GRACE = 20.0  # seconds that interrupted jobs have to save what they need; SLURM kills after 30
REPORT_EVERY = 1.0  # seconds
# Before torch is loaded: two processes with two threads each take three times as long as with one each.
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
}


class Job(Protocol):
    """What a job must have."""

    @property
    def name(self) -> str: ...

    @property
    def steps(self) -> int: ...


J = TypeVar("J", bound=Job)


@dataclass(frozen=True)
class Outcome:
    """What became of a job.

    Attributes:
        job: the job.
        state: ``"done"``; ``"failed"``; or ``"stopped"``, interrupted or never begun.
        value: what the function returned, of a job that is done.
        error: of one that failed, what went wrong, in a line.
        traceback: where, if it was the function that failed.
    """

    job: Job
    state: str
    value: Any = None
    error: str = ""
    traceback: str = ""


class Stopped(KeyboardInterrupt):
    """Runs were interrupted; the message says what is done and what is not.

    Attributes:
        outcomes: of all jobs, in their order.
        signal: the number of the signal that ended them; of Ctrl-C, ``signal.SIGINT``.
    """

    def __init__(self, outcomes: Sequence[Outcome], signal: int) -> None:
        self.outcomes, self.signal = tuple(outcomes), signal
        names = {state: [o.job.name for o in outcomes if o.state == state] for state in ("done", "failed", "stopped")}
        failed = f", {len(names['failed'])} failed" if names["failed"] else ""
        more = f" and {len(names['stopped']) - 10} more" if len(names["stopped"]) > 10 else ""
        super().__init__(
            f"interrupted: {len(names['done'])} of {len(outcomes)} runs are done{failed}; unfinished: "
            f"{', '.join(names['stopped'][:10]) or 'none'}{more}. Start the same again to go on"
        )


def run_all(
    jobs: Sequence[J],
    function: Callable[[J, Callable[[int], None]], object],
    *,
    engine: Executor | str | None = None,
    workers: int = 1,
    done: Callable[[J, Any], object] | None = None,
    cost: Callable[[J], float] | None = None,
    progress: bool = True,
    grace: float = GRACE,
) -> list[Outcome]:
    """Runs ``function`` on every job; what fails, or is killed, does not stop the others.

    Ctrl-C, SIGTERM and SIGHUP end it in order: jobs that wait are given up, those that run are interrupted and have
    ``grace`` seconds to save, and are killed then. A second Ctrl-C kills them at once.

    Args:
        jobs: with different names.
        function: the job function, see above. Where it runs in another process it must be importable there.
        engine: None for this machine; ``"dask:ADDRESS"`` for the dask scheduler at an address such as
            ``tcp://10.0.0.1:8786``, whose workers have one thread each; or anything with the interface of
            :class:`concurrent.futures.Executor` that runs one job at a time in a process (it is not shut down).
        workers: on this machine, how many processes with one thread each; 1 runs the jobs in this process, one after
            the other. A job whose process is killed is tried again, twice.
        done: called in this process with each job that is done and its value, as soon as it is: to write it down. An
            exception counts as the job's failure.
        cost: the costliest jobs begin first; by default jobs begin in their order.
        progress: show one bar for all jobs, and a line for each that ends, on stderr.
        grace: in seconds.

    Returns:
        The outcome of each job, in the order of ``jobs``.

    Raises:
        ValueError: two jobs have one name, ``workers`` is below 1, or ``engine`` is text of another kind.
        ModuleNotFoundError: dask.distributed is not installed; the message says how to install it.
        OSError: no scheduler answers at the address.
        Stopped: the runs were interrupted. It is a ``KeyboardInterrupt``.
    """
    jobs = list(jobs)
    names = [job.name for job in jobs]
    if twice := [name for i, name in enumerate(names) if name in names[:i]]:
        raise ValueError(f"jobs: the name {twice[0]!r} is given twice")
    waiting = sorted(jobs, key=cost, reverse=True) if cost else jobs.copy()
    waiting.reverse()  # the next is the last
    outcomes: dict[str, Outcome] = {}
    stop = _Stop()
    with _Display(jobs, progress) as display, _opened(engine, workers, stop, display.moved) as runner, stop.listening():
        running: dict[Future, J] = {}
        ended: queue.SimpleQueue[Future] = queue.SimpleQueue()

        def keep(job: J, outcome: Outcome) -> None:
            if outcome.state == "done" and done is not None:
                try:
                    done(job, outcome.value)
                except Exception as error:
                    outcome = _failed(job, error)
            outcomes[job.name] = outcome
            display.ended(outcome)

        try:
            deadline = None
            while waiting or running:
                if stop.signal and deadline is None:
                    deadline = time.monotonic() + grace
                    waiting.clear()
                    runner.interrupt(list(running))
                while waiting and len(running) < runner.room:
                    job = waiting.pop()
                    try:
                        future = runner.submit(function, job)
                    except Exception as error:
                        keep(job, _failed(job, error, "it cannot be handed to the engine: "))
                    else:
                        running[future] = job
                        future.add_done_callback(ended.put)
                try:
                    future = ended.get(timeout=0.2)
                except queue.Empty:
                    if deadline is not None and time.monotonic() > deadline:
                        break
                    continue
                job = running.pop(future)
                keep(job, _outcome(job, future, runner.pickles, stop))
        except KeyboardInterrupt:  # the second, or one that a job raised in this process
            stop.signal = stop.signal or signal.SIGINT
        finally:
            if waiting or running:
                runner.kill()
    everything = [outcomes.get(job.name, Outcome(job, "stopped")) for job in jobs]
    if stop.signal:
        raise Stopped(everything, stop.signal)
    return everything


def _failed(job: Job, error: BaseException, doing: str = "") -> Outcome:
    where = "".join(traceback.format_exception(error))
    return Outcome(job, "failed", error=f"{doing}{_in_words(error)}", traceback=where)


def _in_words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _outcome(job: Job, future: Future, pickled: bool, stop: _Stop) -> Outcome:
    """What a future that has ended says about its job."""
    try:
        state, value, error, where = future.result()
        return Outcome(job, state, pickle.loads(value) if pickled and state == "done" else value, error, where)
    except CancelledError:
        if stop.signal:
            return Outcome(job, "stopped")
        return Outcome(job, "failed", error="the engine gave it up; has its scheduler ended?")
    except Exception as error:  # of the engine, not of the function
        return _failed(job, error)


# What follows runs where the job does.


def _call(function: Callable, job: Job, report: Callable[[int], None]) -> tuple[str, object, str, str]:
    """State, value, error and traceback: plain data whatever happens."""
    try:
        return "done", function(job, report), "", ""
    except KeyboardInterrupt:
        return "stopped", None, "", ""
    except BaseException as error:
        return "failed", None, _in_words(error), traceback.format_exc()


def _call_and_pickle(function: Callable, job: Job, report: Callable[[int], None] | None = None) -> tuple:
    """The same with the value pickled: the machinery that carries it may die of one that does not pickle."""
    state, value, *rest = _call(function, job, report or _no_report)
    try:
        return state, pickle.dumps(value), *rest
    except Exception as error:
        words = f"its result, of the type {type(value).__name__}, cannot be sent back: {_in_words(error)}"
        return "failed", None, words, traceback.format_exc()


def _no_report(step: int) -> None:
    pass


class _Seldom:
    """Passes a step on, once a second at most."""

    def __init__(self, send: Callable[[int], None]) -> None:
        self.send, self.next = send, 0.0

    def __call__(self, step: int) -> None:
        if (now := time.monotonic()) >= self.next:
            self.next = now + REPORT_EVERY
            self.send(int(step))


class _Runner:
    """What runs jobs."""

    pickles = True  # the value

    @property
    def room(self) -> int:
        """How many jobs it takes at once."""
        return sys.maxsize

    def submit(self, function: Callable, job: Job) -> Future:
        """A future of what ``_call`` returns."""
        raise NotImplementedError

    def interrupt(self, futures: Sequence[Future]) -> None:
        """Begins no other job, and tells those that run to end."""
        for future in futures:
            future.cancel()  # does nothing to those that run

    def kill(self) -> None:
        """Ends them."""

    def close(self) -> None:
        """Gives back what it holds."""


class _Here(_Runner):
    """One after the other in this process."""

    room = 1
    pickles = False

    def __init__(self, stop: _Stop, moved: Callable[[str, int], None]) -> None:
        self.stop, self.moved = stop, moved

    def submit(self, function: Callable, job: Job) -> Future:
        future: Future = Future()
        self.stop.raises = True
        try:
            if self.stop.signal:  # it came just before
                raise KeyboardInterrupt
            result = _call(function, job, lambda step: self.moved(job.name, step))
        finally:
            self.stop.raises = False
        if result[0] == "stopped":
            self.stop.signal = self.stop.signal or signal.SIGINT
        future.set_result(result)
        return future


class _Foreign(_Runner):
    """An executor that somebody else made and will shut down."""

    def __init__(self, executor: Executor) -> None:
        self.executor = executor

    def submit(self, function: Callable, job: Job) -> Future:
        return self.executor.submit(_call_and_pickle, function, job)


class _Processes(_Runner):
    """Processes of this machine, each led by a thread of its own.

    A ``ProcessPoolExecutor`` ends all of its processes when one of them is killed.
    """

    def __init__(self, workers: int, moved: Callable[[str, int], None]) -> None:
        self.threads, self.moved = ThreadPoolExecutor(workers, initializer=_block_ctrl_c), moved
        self.context = get_context("spawn")  # a fork of a process with threads (torch has some) may hang
        resource_tracker.ensure_running()  # now: the thread that starts it would have its signals unblocked
        self.mine = threading.local()
        self.lock = threading.Lock()
        self.processes: list = []
        self.stopping = False

    def submit(self, function: Callable, job: Job) -> Future:
        return self.threads.submit(self._lead, pickle.dumps((function, job)), job.name)

    def _lead(self, task: bytes, name: str) -> tuple:
        """Has a process do a task, and another one if that is killed; runs in a thread."""
        for _ in range(1 + RETRIES):
            if not self._start():
                return "stopped", None, "", ""
            try:
                self.mine.pipe.send_bytes(task)
                while isinstance(message := self.mine.pipe.recv(), int):
                    self.moved(name, message)
                return message
            except (EOFError, OSError):
                self.mine.process.join()
                self.mine.pipe.close()
        if self.stopping:
            return "stopped", None, "", ""
        return "failed", None, _how_it_ended(self.mine.process.exitcode), ""

    def _start(self) -> bool:
        """Makes sure that this thread's process is alive; false when there is to be none any more."""
        with self.lock:
            if self.stopping:
                return False
            if getattr(self.mine, "process", None) is None or not self.mine.process.is_alive():
                self.mine.pipe, theirs = self.context.Pipe()
                self.mine.process = self.context.Process(target=_serve, args=(theirs,))
                with _environment(ONE_THREAD):
                    self.mine.process.start()
                self.processes.append((self.mine.process, self.mine.pipe))
                theirs.close()
            return True

    def interrupt(self, futures: Sequence[Future]) -> None:
        super().interrupt(futures)
        with self.lock:
            self.stopping = True
            for process, _ in self.processes:
                process.terminate()

    def kill(self) -> None:
        with self.lock:
            self.stopping = True
            for process, _ in self.processes:
                process.kill()

    def close(self) -> None:
        self.threads.shutdown(cancel_futures=True)
        for _, pipe in self.processes:
            pipe.close()  # which ends a process that waits for a task
        for process, _ in self.processes:
            process.join(5)
            process.kill()
            process.join()


def _how_it_ended(code: int) -> str:
    how = f"was killed by signal {-code}" if code < 0 else f"ended with exit status {code}"
    why = {
        -9: "; perhaps memory was short: use fewer processes",
        1: "; in a script, start runs under `if __name__ == '__main__':`",
    }
    return f"its process {how}, {1 + RETRIES} times{why.get(code, '')}"


def _block_ctrl_c() -> None:
    # A terminal sends Ctrl-C to the processes, too, which inherit this from their thread: they are told by SIGTERM.
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _serve(pipe: connection.Connection) -> None:
    """What a process does: task after task, until the pipe is closed or it is told to end."""
    at, told = "rest", False

    def tell(*_: object) -> None:
        nonlocal told
        before, told = told, True
        if at == "rest":
            sys.exit()
        if at == "job" and not before:  # once: another would interrupt the saving
            raise KeyboardInterrupt

    def watched(function: Callable, job: Job, report: Callable) -> object:
        nonlocal at
        at = "job"
        try:
            if told:
                raise KeyboardInterrupt
            return function(job, report)
        finally:
            at = "work"

    def send(step: int) -> None:
        with suppress(OSError):  # the parent has died: _end_with_parent tells the job
            pipe.send(step)

    signal.signal(signal.SIGTERM, tell)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with suppress(EOFError, OSError):
        while not told:
            at = "rest"
            task = pipe.recv_bytes()
            at = "work"
            pipe.send(_serve_one(task, watched, _Seldom(send)))


def _serve_one(task: bytes, watched: Callable, report: Callable) -> tuple:
    try:
        function, job = pickle.loads(task)
    except Exception as error:
        words = f"its process cannot read it, which finds functions only in modules: {_in_words(error)}"
        return "failed", None, words, traceback.format_exc()
    return _call_and_pickle(lambda job, report: watched(function, job, report), job, report)


def _end_with_parent() -> None:
    if parent := parent_process():  # always: this runs in a process that another one started
        parent.join()
    os.kill(os.getpid(), signal.SIGTERM)  # the job may still save what it needs
    time.sleep(GRACE)
    os._exit(1)


class _Dask(_Foreign):
    """The workers of a dask scheduler, on whatever machines they are."""

    def __init__(self, address: str, moved: Callable[[str, int], None]) -> None:
        try:
            from distributed import Client
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                f'the engine dask:{address} needs {error.name}: pip install "medlatent[cluster]"', name=error.name
            ) from None
        try:
            self.client = Client(address, set_as_default=False)
        except (OSError, ValueError) as error:
            raise OSError(
                f"dask:{address}: no scheduler answers ({error}); start one with `dask scheduler`, which prints its "
                "address"
            ) from None
        super().__init__(self.client.get_executor())
        self.token = f"medlatent-{uuid.uuid4().hex}"
        self.client.subscribe_topic(self.token, lambda event: moved(*event[1]))
        self.workers, self.counted = 0, -math.inf

    @property
    def room(self) -> int:
        if self.client.status != "running":  # the scheduler has ended: while it is looked for, nothing is handed out
            return sys.maxsize if self.client.status == "closed" else 0
        # A job that waits on a worker dies with it, and after a few times dask calls that its own fault.
        if (now := time.monotonic()) > self.counted + 1:
            self.counted = now
            with suppress(OSError, RuntimeError):  # it ends just now
                self.workers = len(self.client.nthreads(callback_timeout=5))
        return max(1, self.workers)

    def submit(self, function: Callable, job: Job) -> Future:
        if self.client.status == "closed":
            raise ConnectionError("its scheduler has ended")
        return self.executor.submit(_on_dask, function, job, self.token)

    def interrupt(self, futures: Sequence[Future]) -> None:
        # Futures of dask are cancelled even where they run, and nobody would wait for what the jobs save. In a thread,
        # since a worker that has just died would be waited for.
        threading.Thread(target=self.client.run, args=(_tell, self.token), daemon=True).start()

    def kill(self) -> None:
        self.executor.shutdown(wait=False)

    def close(self) -> None:
        self.client.close()


_told: set[str] = set()  # in a process of dask: the calls of run_all whose jobs are to end


def _tell(token: str) -> None:
    _told.add(token)


def _on_dask(function: Callable, job: Job, token: str) -> tuple:
    """A job in a thread of a worker, where no signal arrives: report raises the interrupt."""
    from distributed import Reschedule, Status, get_worker

    worker = get_worker()
    if worker.state.nthreads > 1:
        words = f"the worker {worker.address} runs {worker.state.nthreads} jobs in one process, whose random numbers "
        return "failed", None, f"{words}they would share: start it with --nthreads 1", ""
    task = worker.state.tasks[worker.get_current_task()]
    send = _Seldom(lambda step: worker.log_event(token, [job.name, step]))

    def unwanted() -> bool:
        return token in _told or task.state == "cancelled"  # which it is, too, when who asked for it was killed

    def report(step: int) -> None:
        if unwanted() or worker.status in (Status.closing, Status.closing_gracefully, Status.closed):
            raise KeyboardInterrupt
        send(step)

    if unwanted():
        return "stopped", None, "", ""
    result = _call_and_pickle(function, job, report)
    if result[0] == "stopped" and not unwanted():
        raise Reschedule  # the worker's time is up, not the job's: another goes on
    return result


@contextmanager
def _opened(engine: Executor | str | None, workers: int, stop: _Stop, moved: Callable) -> Iterator[_Runner]:
    if workers < 1:
        raise ValueError(f"workers must be at least 1, got {workers}")
    if engine is None:
        runner: _Runner = _Here(stop, moved) if workers == 1 else _Processes(workers, moved)
    elif not isinstance(engine, str):
        runner = _Foreign(engine)
    elif engine.startswith("dask:") and (address := engine.removeprefix("dask:")):
        runner = _Dask(address, moved)
    else:
        raise ValueError(f"engine {engine!r} is unknown: use dask:ADDRESS, as dask:tcp://127.0.0.1:8786")
    try:
        yield runner
    finally:
        runner.close()


class _Stop:
    """Whether the runs are to end: what a signal asks for is done between two steps of the loop, not in the middle of
    writing a record.

    Attributes:
        signal: the one that came first, or 0.
        raises: whether it interrupts what runs now: a job in this process. A second Ctrl-C always does; other signals
            may come twice when a session ends, and must not interrupt the saving.
    """

    def __init__(self) -> None:
        self.signal, self.raises = 0, False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Takes signals, where this is the main thread; what ignores one (as nohup does) goes on ignoring it."""
        before = {}
        if threading.current_thread() is threading.main_thread():
            for name in ("SIGINT", "SIGTERM", "SIGHUP"):
                number = getattr(signal, name, None)  # there is no SIGHUP on Windows
                if number is not None and signal.getsignal(number) not in (signal.SIG_IGN, None):
                    before[number] = signal.signal(number, self._receive)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _receive(self, number: int, frame: object) -> None:
        again, self.signal = bool(self.signal), self.signal or number
        if number == signal.SIGINT if again else self.raises:
            raise KeyboardInterrupt


class _Display:
    """One bar: the steps of all jobs, and how many have ended."""

    def __init__(self, jobs: Sequence[Job], shown: bool) -> None:
        self.steps = {job.name: job.steps for job in jobs}
        self.at = dict.fromkeys(self.steps, 0)
        self.ended_jobs = 0
        self.lock = threading.Lock()
        every = 0.5 if sys.stderr.isatty() else 5  # a log keeps every line
        self.bar = tqdm(total=sum(self.steps.values()), unit="step", disable=not shown, mininterval=every)

    def __enter__(self) -> _Display:
        self._count()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def _count(self) -> None:
        self.bar.set_description_str(f"{self.ended_jobs}/{len(self.steps)} runs", refresh=False)

    def moved(self, name: str, step: int) -> None:
        """A job is at a step; comes from any thread, and a job that is tried again comes from further back."""
        with self.lock:
            self.at[name] = min(step, self.steps[name])
            self.bar.update(sum(self.at.values()) - self.bar.n)

    def ended(self, outcome: Outcome) -> None:
        with self.lock:
            self.ended_jobs += outcome.state != "stopped"
            self._count()
        if outcome.state == "done":
            self.moved(outcome.job.name, outcome.job.steps)
        if not self.bar.disable and outcome.state != "stopped":
            self.bar.write(f"{outcome.job.name}: {outcome.state}{outcome.error and f': {outcome.error}'}", sys.stderr)
