import errno
import fcntl
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.errors import InputError, LockLostError
from pipeline.storage import holders, object_lock, output_lock
from pipeline.storage.folder import Folder
from pipeline.storage.holders import Holder
from pipeline.storage.output_lock import locked
from tests.object_storage import Proxy

HOLD = """
import sys, time
from pipeline.storage import object_lock, output_lock
from pipeline.storage.folder import Folder
object_lock.RENEW_SECONDS = 0.3
with output_lock.locked(Folder(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""
OUT = "s3://bucket/d"
NAME = f"{output_lock.LOCK}.json"


@contextmanager
def holder(url: str, environment: dict[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds an output."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, url], stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stdout and process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Renew and wait in fractions of the usual times."""
    times = {"RENEW_SECONDS": 0.2, "STALE_SECONDS": 1.5, "POLL_SECONDS": 0.1, "REPORT_SECONDS": 0.5}
    for name, seconds in times.items():
        monkeypatch.setattr(object_lock, name, seconds)
    monkeypatch.setattr(holders, "LOST_SECONDS", 1.0)


def leave_lock(**changes: str | int) -> None:
    """Leave the lock of a job that renews it no more."""
    content = {**json.loads(Holder.here().content), "token": "left", **changes}
    Folder(OUT).write(NAME, json.dumps(content).encode())


@pytest.mark.processes
def test_a_second_job_is_refused_naming_the_first_and_death_releases_the_lock(tmp_path: Path) -> None:
    with holder(str(tmp_path)) as first:
        refusal = f'another job is writing to it .*"pid": {first.pid}'
        with pytest.raises(InputError, match=refusal), locked(Folder(str(tmp_path))):
            pass
    with locked(Folder(str(tmp_path))) as hold:
        hold.check()


def test_an_output_that_cannot_be_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"), locked(Folder(str(tmp_path / "file"))):
        pass


@pytest.mark.processes
def test_on_object_storage_a_living_job_refuses_a_second_and_a_dead_one_is_followed_at_once(
    s3: Proxy, quick: None
) -> None:
    with holder(OUT, {"PATH": "", **s3.environment, "PYTHONPATH": ":".join(sys.path)}) as first:
        refusal = f"another job is writing to it .*pid {first.pid}"
        with pytest.raises(InputError, match=refusal), locked(Folder(OUT)):
            pass
    said: list[str] = []
    with locked(Folder(OUT), say=said.append) as hold:
        assert "took over the lock" in said[-1]
        assert not any("taking over in" in line for line in said)  # no countdown: its process is gone
        hold.check()
    assert Folder(OUT).read_if_there(NAME) is None


@pytest.mark.parametrize("elsewhere", [{"host": "another"}, {"boot": "another"}, {"pids": "pid:[1]"}])
def test_a_silent_job_elsewhere_is_followed_after_a_countdown(
    s3: Proxy, quick: None, elsewhere: dict[str, str]
) -> None:
    leave_lock(pid=2**30, **elsewhere)
    said: list[str] = []
    began = time.monotonic()
    with locked(Folder(OUT), say=said.append):
        assert time.monotonic() - began >= object_lock.STALE_SECONDS
        assert any("taking over in" in line for line in said)


def test_the_wait_for_a_silent_job_ends_within_a_minute() -> None:
    assert object_lock.STALE_SECONDS + 2 * object_lock.POLL_SECONDS <= 60
    assert object_lock.RENEW_SECONDS * 3 < holders.LOST_SECONDS < object_lock.STALE_SECONDS


def test_of_many_jobs_that_find_a_stale_lock_one_takes_it(s3: Proxy, quick: None) -> None:
    leave_lock(pid=2**30)
    won, refused, done = [], [], threading.Event()

    def try_to_hold(number: int) -> None:
        try:
            with locked(Folder(OUT), say=lambda line: None):
                won.append(number)
                done.wait(20)
        except InputError:
            refused.append(number)
            if len(refused) == 3:
                done.set()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(try_to_hold, range(4)))
    assert len(won) == 1
    assert len(refused) == 3


def test_a_holder_whose_lock_was_taken_over_stops_and_leaves_the_new_lock(s3: Proxy, quick: None) -> None:
    with locked(Folder(OUT)) as hold:
        hold.check()
        leave_lock()
        time.sleep(0.6)
        with pytest.raises(LockLostError):
            hold.check()
    assert json.loads(Folder(OUT).read(NAME))["token"] == "left"


def test_a_holder_that_cannot_renew_stops_before_others_may_take_over(s3: Proxy, quick: None) -> None:
    with locked(Folder(OUT)) as hold:
        s3.fault_share = 1.0
        time.sleep(holders.LOST_SECONDS + 0.2)
        with pytest.raises(LockLostError):
            hold.check()
        s3.fault_share = 0.0


def test_a_filesystem_without_file_locks_is_held_by_an_object(
    tmp_path: Path, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(file: object, operation: int) -> None:
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    out = Folder(str(tmp_path))
    with locked(out), pytest.raises(InputError, match="another job is writing to it"), locked(out):
        pass
    assert not (tmp_path / NAME).exists()


def test_a_lock_that_was_cut_short_is_followed_after_a_countdown(s3: Proxy, quick: None) -> None:
    Folder(OUT).write(NAME, b'{"host')
    with locked(Folder(OUT), say=lambda line: None) as hold:
        hold.check()
