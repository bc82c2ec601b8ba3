"""Lock: one job at a time on an output.

Locally the operating system releases the lock when the job dies. On object storage the lock is an object that its
holder renews; whoever finds it not renewed for STALE_SECONDS, or its holder dead on this machine, takes it over.
"""

import json
import math
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from pipeline.errors import InputError, LockLostError
from pipeline.storage.file_locks import lock_file
from pipeline.storage.folder import Folder
from pipeline.storage.holders import Holder, describe_holder, is_dead
from pipeline.storage.retries import is_full, with_retries

LOCK = "run/lock"
RENEW_SECONDS = 8.0
STALE_SECONDS = 50.0
LOST_SECONDS = 40.0  # a holder that could not renew for so long stops before others may take over
POLL_SECONDS = 2.0
SAID_SECONDS = 10.0

Say = Callable[[str], None]


@dataclass
class Hold:
    """An output that this process holds."""

    renewed: float = math.inf  # by this machine's monotonic clock; a file lock needs no renewal
    lost: bool = False

    def check(self) -> None:
        """Go on only while the output is held.

        Raises:
            LockLostError: another job has taken it over, or may do so soon.
        """
        if self.lost or time.monotonic() - self.renewed > LOST_SECONDS:
            raise LockLostError("the lock on the output was lost: it could not be renewed in time, or was taken over")


@contextmanager
def locked(out: Folder, *, say: Say = print) -> Iterator[Hold]:
    """Hold an output for this process.

    Args:
        say: told, every SAID_SECONDS, how long the lock of a job that may have died is still waited for.

    Raises:
        InputError: another job holds it, named by its host and process; or it cannot be written.
    """
    hold = Hold()
    if out.local:
        path = Path(out.path(LOCK))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("a+")
        except OSError as error:
            if is_full(error):
                raise
            raise InputError(f"--out {out.url}: cannot be written ({error}); give a folder that can") from error
        with file:
            if _hold_file(file, out):
                yield hold
                return
    with _locked_object(out, f"{LOCK}.json", hold, say):
        yield hold


def _hold_file(file: IO[Any], out: Folder) -> bool:
    """Lock a local file; False where the filesystem locks none."""
    try:
        if not lock_file(file):
            return False
    except BlockingIOError as error:
        file.seek(0)
        raise _refusal(out, file.read().strip() or "just started") from error
    file.truncate(0)
    file.write(json.dumps({"host": socket.gethostname(), "pid": os.getpid()}))
    file.flush()
    return True


def _refusal(out: Folder, holder: object) -> InputError:
    return InputError(f"--out {out.url}: another job is writing it ({holder}); wait for its end, or give another --out")


@contextmanager
def _locked_object(out: Folder, name: str, hold: Hold, say: Say) -> Iterator[None]:
    """Hold the lock object, renewed by a thread of its own."""
    try:
        holder = _acquire(out, name, say)
    except OSError as error:
        raise InputError(f"--out {out.url}: cannot be written ({error}); check the bucket and credentials") from error
    hold.renewed = time.monotonic()
    done = threading.Event()
    renewer = threading.Thread(target=_renew, args=(out, name, holder, hold, done), daemon=True)
    renewer.start()
    try:
        yield
    finally:
        done.set()
        renewer.join()
        if not hold.lost and _read(out, name)[0].get("token") == holder.token:
            out.delete(name)


def _acquire(out: Folder, name: str, say: Say) -> Holder:
    """Take the lock, over from a dead holder if need be."""
    holder = Holder.here()
    while not out.create(name, holder.content):
        found, content = _read(out, name)
        if not content:
            continue  # released just now
        if not is_dead(found):
            _wait_until_stale(out, name, content, say)
        if _replace(out, name, seen=content, content=holder.content):
            say(f"took over the lock of a job that died ({describe_holder(found)})")
            break
    return holder


def _wait_until_stale(out: Folder, name: str, content: bytes, say: Say) -> None:
    """Return when the lock has gone, or was not renewed for STALE_SECONDS by this machine's clock.

    Raises:
        InputError: it was renewed.
    """
    began = said = time.monotonic()
    say(f"the output is locked by {describe_holder(_read(out, name)[0])}; looking whether that job is alive")
    while (waited := time.monotonic() - began) < STALE_SECONDS:
        time.sleep(POLL_SECONDS)
        found, now = _read(out, name)
        if not now:
            return
        if now != content:
            raise _refusal(out, describe_holder(found))
        if time.monotonic() - said >= SAID_SECONDS:
            said = time.monotonic()
            say(f"it gave no sign for {waited:.0f} s; taking over in {max(0.0, STALE_SECONDS - waited):.0f} s")


def _renew(out: Folder, name: str, holder: Holder, hold: Hold, done: threading.Event) -> None:
    """Renew the lock until `done`; set `hold.lost` when it is another's."""
    content, times = holder.content, 0
    while not done.wait(RENEW_SECONDS) and not hold.lost:
        times += 1
        following = replace(holder, renewed=times).content
        began = time.monotonic()
        with suppress(OSError):  # storage may come back in time; `hold.check` knows when it did not
            hold.lost = not _replace(out, name, seen=content, content=following)
            content, hold.renewed = following, began


def _replace(out: Folder, name: str, *, seen: bytes, content: bytes) -> bool:
    """Replace the lock where it still is as seen; True where it then holds `content`.

    S3 decides this in one request; elsewhere a second look, after others had time to write, tells who won.
    """
    fs, path = out.fs, out.path(name)
    if not hasattr(fs, "call_s3"):
        if _read(out, name)[1] != seen:
            return False
        with_retries(lambda: fs.pipe_file(path, content))
        time.sleep(0 if out.local else POLL_SECONDS)
        return _read(out, name)[1] == content
    fs.invalidate_cache()
    try:
        tag = with_retries(lambda: fs.info(path))["ETag"]
        if _read(out, name)[1] != seen:
            return False
        with_retries(lambda: fs.pipe_file(path, content, IfMatch=tag))
    except FileNotFoundError:
        return False
    except OSError:
        now = _read(out, name)[1]
        if now == seen:
            raise
        return now == content  # refused; or done by an earlier attempt whose answer was lost
    return True


def _read(out: Folder, name: str) -> tuple[dict[str, Any], bytes]:
    """The lock's holder and content; both empty where it is free."""
    content = out.read_if_there(name) or b""
    try:
        found = json.loads(content)
    except ValueError:  # cut short or foreign: nobody renews it, and nobody is known
        found = {}
    return (found if isinstance(found, dict) else {}), content
