"""Many runs, some of which fail, are killed or interrupted: here, in processes and on a cluster of dask."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import dask
import pytest
from distributed import Client, LocalCluster

sys.path.insert(0, str(Path(__file__).parent))  # where other processes import the jobs from, too

from jobs_to_run import Try, attempt

from medlatent.engines import Stopped, run_all

pytestmark = [pytest.mark.timeout(120), pytest.mark.executes]
SCRIPT = Path(__file__).with_name("jobs_to_run.py")


def until(true, seconds=40.0):
    """Waits until a condition holds."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def there(folder, pattern):
    """Whether files of a pattern are there, and written."""
    return [path.stem for path in sorted(folder.glob(pattern)) if path.stat().st_size]


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def run(jobs, **options):
    return run_all(jobs, attempt, **{"progress": False} | options)


@pytest.fixture
def start(tmp_path):
    """Starts the script in a process group of its own, as a shell does, and ends what is left of it."""
    started = []

    def begin(engine, *pairs, grace=20):
        command = [sys.executable, str(SCRIPT), str(tmp_path), str(engine), str(grace), *pairs]
        patience = os.environ | {"DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "3s"}
        script = subprocess.Popen(command, env=patience, stdout=subprocess.PIPE, text=True, start_new_session=True)
        started.append(script)
        return started[-1]

    yield begin
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.parametrize("workers", [1, 2])
def test_results_arrive_in_the_order_of_the_jobs(workers):
    jobs = [Try("long", steps=30), Try("short", steps=1), Try("other", steps=1)]
    written = []
    found = run(jobs, workers=workers, done=lambda job, value: written.append((job.name, value[0])))
    assert [outcome.job for outcome in found] == jobs
    assert [outcome.state for outcome in found] == ["done"] * 3
    assert [outcome.value[0] for outcome in found] == ["long", "short", "other"]
    assert sorted(written) == [(name, name) for name in ("long", "other", "short")]
    processes = {outcome.value[1] for outcome in found}
    if workers == 1:
        assert processes == {os.getpid()}
    else:
        assert len(processes) == 2
        assert os.getpid() not in processes
        assert written[-1][0] == "long"
        assert {outcome.value[2] for outcome in found} == {"1"}  # threads
        assert not any(map(alive, processes))


def test_the_costliest_begins_first():
    begun = []
    jobs = [Try(str(steps), steps=steps) for steps in (2, 3, 1)]
    run(jobs, cost=lambda job: job.steps, done=lambda job, value: begun.append(job.name))
    assert begun == ["3", "2", "1"]


@pytest.mark.parametrize("workers", [1, 2])
def test_what_fails_is_told_and_stops_nothing_else(workers):
    jobs = [Try("a", "fail"), Try("b"), Try("c", "exit"), Try("d")]
    failed, fine, left, last = run(jobs, workers=workers)
    assert (failed.state, failed.error) == ("failed", "FloatingPointError: the loss of a is NaN")
    assert "jobs_to_run.py" in failed.traceback
    assert (left.state, left.error) == ("failed", "SystemExit: 3")
    assert (fine.state, last.state) == ("done", "done")


def test_what_cannot_be_sent_fails_in_words():
    held, fine = run([Try("a", "hold a lock"), Try("b")], workers=2)
    assert held.state == "failed"
    assert held.error.startswith("its result, of the type lock, cannot be sent back: TypeError")
    assert fine.state == "done"
    (outcome,) = run_all([Try("a")], lambda job, report: 1, workers=2, progress=False)
    assert outcome.error.startswith("it cannot be handed to the engine: ")
    assert "lambda" in outcome.error


def test_what_cannot_be_written_down_fails_alone():
    def write(job, value):
        if job.name == "a":
            raise OSError(28, "No space left on device")

    first, second = run([Try("a"), Try("b")], done=write)
    assert (first.state, first.error) == ("failed", "OSError: [Errno 28] No space left on device")
    assert second.state == "done"


def test_a_killed_process_loses_nothing(tmp_path):
    jobs = [Try("a", "die once", tmp_path), Try("b", "count", steps=60), Try("c", "die", tmp_path), Try("d")]
    once, slow, always, fine = run(jobs, workers=2)
    assert once.state == slow.state == fine.state == "done"
    assert int((tmp_path / "a.died").read_text()) != once.value[1]
    assert always.state == "failed"
    assert always.error == "its process was killed by signal 9, 3 times; perhaps memory was short: use fewer processes"


def test_a_function_that_the_processes_do_not_find(tmp_path):
    """As of one that is defined in a notebook."""
    script = tmp_path / "script.py"
    script.write_text(
        f"import sys; sys.path[:0] = [{str(SCRIPT.parent)!r}]\n"
        "from jobs_to_run import Try, run_all\n"
        "def main():\n    exec('def here(job, report): pass', globals())\n"
        "    print(run_all([Try('a')], here, workers=2, progress=False)[0].error)\n"
        "if __name__ == '__main__': main()\n"
    )
    said = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=40).stdout
    assert said.startswith("its process cannot read it, which finds functions only in modules: AttributeError")


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("which", ["SIGINT", "SIGTERM"])
def test_interrupted_jobs_save_and_it_says_where_it_stands(start, tmp_path, workers, which):
    script = start(workers, "a=count", "b=wait", "c=wait", "d=count")
    running = ["b", "c"][:workers]
    until(lambda: set(running) <= set(there(tmp_path, "*.begun")))
    if which == "SIGTERM":
        script.terminate()
    else:  # a terminal sends it to the whole group
        os.killpg(script.pid, getattr(signal, which))
    said, _ = script.communicate(timeout=20)
    assert script.returncode == 130
    rest = "b, c, d" if workers == 1 else "b, c"
    number = 2 if workers == 2 and there(tmp_path, "d.begun") else 1
    assert said.startswith(f"interrupted: {number} of 4 runs are done; unfinished: {rest}")
    assert said.strip().endswith("Start the same again to go on")
    assert there(tmp_path, "*.whole") == there(tmp_path, "*.saved") == running
    assert not any(alive((tmp_path / f"{name}.begun").read_text()) for name in running)


def test_jobs_that_resist_are_killed(start, tmp_path):
    script = start(2, "a=resist", "b=wait", grace=1)
    until(lambda: there(tmp_path, "*.begun") == ["a", "b"])
    script.terminate()
    said, _ = script.communicate(timeout=10)
    assert said.startswith("interrupted: 0 of 2 runs are done; unfinished: a, b")
    assert there(tmp_path, "*.whole") == ["b"]
    assert not alive((tmp_path / "a.begun").read_text())


@pytest.mark.parametrize("workers", [1, 2])
def test_another_signal_does_not_interrupt_the_saving(start, tmp_path, workers):
    """A session that ends sends SIGHUP from its shell and from its terminal, a batch system SIGTERM to everybody."""
    script = start(workers, "a=wait")
    until(lambda: there(tmp_path, "a.begun"))
    os.killpg(script.pid, signal.SIGHUP)
    until(lambda: there(tmp_path, "a.saved"))
    os.killpg(script.pid, signal.SIGTERM)
    script.communicate(timeout=20)
    assert there(tmp_path, "a.whole")


def test_a_second_ctrl_c_ends_at_once(start, tmp_path):
    script = start(2, "a=resist", "b=resist")
    until(lambda: there(tmp_path, "*.begun") == ["a", "b"])
    script.send_signal(signal.SIGINT)
    time.sleep(0.3)
    assert script.poll() is None
    script.send_signal(signal.SIGINT)
    said, _ = script.communicate(timeout=5)
    assert said.startswith("interrupted: 0 of 2 runs are done; unfinished: a, b")
    assert not any(alive(path.read_text()) for path in tmp_path.glob("*.begun"))


def test_processes_of_a_killed_parent_save_and_end(start, tmp_path):
    script = start(2, "a=wait", "b=wait")
    until(lambda: there(tmp_path, "*.begun") == ["a", "b"])
    script.kill()
    until(lambda: there(tmp_path, "*.whole") == ["a", "b"])
    until(lambda: not any(alive(path.read_text()) for path in tmp_path.glob("*.begun")))


def test_an_interrupt_of_a_job_here_ends_the_runs():
    def interrupted(job, report):
        if job.name == "b":
            raise KeyboardInterrupt
        return job.name

    with pytest.raises(Stopped, match="1 of 3 runs are done; unfinished: b, c") as error:
        run_all([Try("a"), Try("b"), Try("c")], interrupted, progress=False)
    assert [outcome.state for outcome in error.value.outcomes] == ["done", "stopped", "stopped"]
    assert error.value.outcomes[0].value == "a"
    assert error.value.signal == signal.SIGINT


def test_signals_are_those_of_before_afterwards():
    before = [signal.getsignal(which) for which in (signal.SIGINT, signal.SIGTERM)]
    run([Try("a")])
    assert [signal.getsignal(which) for which in (signal.SIGINT, signal.SIGTERM)] == before


def test_outside_the_main_thread():
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(run, [Try("a")]).result()[0].state == "done"


def test_any_executor_runs_them():
    with ThreadPoolExecutor(1) as pool:
        found = run([Try("a"), Try("b", "fail"), Try("c")], engine=pool)
        assert [outcome.state for outcome in found] == ["done", "failed", "done"]
        assert pool.submit(int).result() == 0  # it is not shut down

    class GivesUp:
        def submit(self, *task):
            future = Future()
            future.cancel()
            future.set_running_or_notify_cancel()
            return future

    (outcome,) = run([Try("a")], engine=GivesUp())
    assert (outcome.state, outcome.error) == ("failed", "the engine gave it up; has its scheduler ended?")


def test_one_bar_for_all_and_a_line_for_each(capsys):
    run([Try("a"), Try("b", "fail"), Try("c", steps=7)], progress=True)
    shown = capsys.readouterr().err
    assert "a: done" in shown
    assert "b: failed: FloatingPointError: the loss of b is NaN" in shown
    assert "3/3 runs" in shown
    assert "10/13" in shown  # steps: those of b were not done
    run([Try("a")])
    assert capsys.readouterr().err == ""


def test_arguments(monkeypatch):
    assert run([]) == []
    with pytest.raises(ValueError, match="jobs: the name 'a' is given twice"):
        run([Try("a"), Try("a", "fail")])
    with pytest.raises(ValueError, match="workers must be at least 1, got 0"):
        run([Try("a")], workers=0)
    for engine in ("slurm", "dask", "dask:"):
        with pytest.raises(ValueError, match=f"engine '{engine}' is unknown: use dask:ADDRESS"):
            run([Try("a")], engine=engine)
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ModuleNotFoundError, match=r'needs distributed: pip install "medlatent\[cluster\]"'):
        run([Try("a")], engine="dask:tcp://127.0.0.1:1")


# On a cluster of dask: a scheduler and two workers, processes of this machine.


class Cluster:
    def __init__(self, folder):
        self.file, self.started = folder / "scheduler.json", []
        self.scheduler = self.begin("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
        until(lambda: self.file.exists() and self.file.read_text().endswith("}"))
        self.address = json.loads(self.file.read_text())["address"]

    def begin(self, what, *options):
        command = [sys.executable, "-m", "dask", what, "--scheduler-file", str(self.file), *options]
        paths = os.pathsep.join(map(str, [SCRIPT.parents[1], SCRIPT.parent]))
        settings = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "2", "PYTHONPATH": paths}
        self.started.append(subprocess.Popen(command, env=os.environ | settings, stderr=subprocess.DEVNULL))
        return self.started[-1]

    def worker(self):
        return self.begin("worker", "--nthreads", "1", "--no-dashboard")

    def end(self):
        for process in self.started:
            process.kill()  # a worker's process ends with its nanny
            process.wait()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    cluster.worker(), cluster.worker()
    with Client(cluster.address, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=30)
    yield cluster
    cluster.end()


def test_a_worker_of_the_cluster_is_killed_in_the_middle(cluster, tmp_path):
    jobs = [Try(name, "count", tmp_path, steps=60) for name in "abcd"]

    def kill_one():
        until(lambda: there(tmp_path, "*.begun"))
        first = there(tmp_path, "*.begun")[0]  # another one may be there and not yet be written
        killed.append(int((tmp_path / f"{first}.begun").read_text()))
        os.kill(killed[0], signal.SIGKILL)

    killed = []
    killer = threading.Thread(target=kill_one)
    killer.start()
    found = run(jobs, engine=f"dask:{cluster.address}")
    killer.join()
    assert [(outcome.state, outcome.value[0]) for outcome in found] == [("done", name) for name in "abcd"]
    assert killed
    assert killed[0] not in {outcome.value[1] for outcome in found}


def test_the_cluster_tells_what_fails_and_how_far_it_is(cluster, tmp_path, monkeypatch):
    moved = []
    monkeypatch.setattr("medlatent.engines._Display.moved", lambda display, name, step: moved.append((name, step)))
    jobs = [Try("a", "fail"), Try("b", "hold a lock"), Try("c", "die", tmp_path), Try("d", steps=120)]
    failed, held, killed, fine = run(jobs, engine=f"dask:{cluster.address}")
    assert failed.error == "FloatingPointError: the loss of a is NaN"
    assert held.error.startswith("its result, of the type lock, cannot be sent back")
    assert killed.state == "failed"
    assert killed.error.startswith("KilledWorker: ")
    assert "on 3 different workers" in killed.error
    assert (fine.state, fine.value[2]) == ("done", "1")
    assert any(name == "d" and 0 < step < 120 for name, step in moved)


def test_interrupted_on_the_cluster(cluster, start, tmp_path):
    script = start(f"dask:{cluster.address}", "a=wait", "b=wait", "c=wait")
    until(lambda: len(there(tmp_path, "*.begun")) == 2)
    os.killpg(script.pid, signal.SIGINT)
    said, _ = script.communicate(timeout=20)
    assert script.returncode == 130
    assert said.startswith("interrupted: 0 of 3 runs are done; unfinished: a, b, c")
    assert there(tmp_path, "*.whole") == there(tmp_path, "*.begun")
    assert len(there(tmp_path, "*.whole")) == 2


def test_whoever_asked_the_cluster_is_killed(cluster, start, tmp_path):
    script = start(f"dask:{cluster.address}", "a=wait")
    until(lambda: there(tmp_path, "a.begun"))
    script.kill()
    until(lambda: there(tmp_path, "a.whole"))


def test_a_worker_whose_time_is_up_and_a_scheduler_that_ends(start, tmp_path):
    cluster = Cluster(tmp_path)
    workers = {worker.pid: worker for worker in (cluster.worker(), cluster.worker())}
    script = start(f"dask:{cluster.address}", "a=wait", "b=wait", "c=count")
    until(lambda: there(tmp_path, "*.begun") == ["a", "b"])
    begun = tmp_path / "a.begun"
    nanny = int(Path(f"/proc/{begun.read_text()}/stat").read_text().split()[3])  # its parent
    begun.unlink()
    workers[nanny].terminate()
    until(lambda: there(tmp_path, "*.whole") == ["a"])
    cluster.worker()
    until(begun.exists)
    cluster.scheduler.kill()
    said = script.communicate(timeout=30)[0].splitlines()
    assert said[:2] == [f"{name} failed the engine gave it up; has its scheduler ended?" for name in "ab"]
    assert said[2] == "c failed it cannot be handed to the engine: ConnectionError: its scheduler has ended"
    cluster.end()


def test_a_worker_with_two_threads_is_refused():
    here = {"processes": False, "protocol": "tcp", "dashboard_address": ":0"}
    with LocalCluster(n_workers=1, threads_per_worker=2, **here) as cluster:
        (outcome,) = run([Try("a")], engine=f"dask:{cluster.scheduler_address}")
    assert outcome.state == "failed"
    assert "runs 2 jobs in one process" in outcome.error
    assert outcome.error.endswith("start it with --nthreads 1")


def test_nobody_answers():
    with socket.socket() as free, dask.config.set({"distributed.comm.timeouts.connect": "0.5s"}):
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(OSError, match=f"dask:{address}: no scheduler answers .* start one with `dask scheduler`"):
            run([Try("a")], engine=f"dask:{address}")
    with pytest.raises(OSError, match="dask:nowhere://x: no scheduler answers"):
        run([Try("a")], engine="dask:nowhere://x")
