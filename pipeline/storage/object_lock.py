"""Object lock: an output on object storage -> held by the process that renews an object there.

Whoever finds the object not renewed for STALE_SECONDS, or its holder dead on this machine, takes it over. Only one of
several can: storage replaces the object only where it is still as that process saw it.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

from pipeline.errors import InputError
from pipeline.storage.folder import Folder
from pipeline.storage.holders import Hold, Holder, describe_holder, held_elsewhere, is_dead
from pipeline.storage.retries import with_retries

RENEW_SECONDS = 8.0
STALE_SECONDS = 50.0  # longer than holders.LOST_SECONDS: the holder stops before others take over
POLL_SECONDS = 2.0
REPORT_SECONDS = 10.0

Say = Callable[[str], None]


@contextmanager
def locked_object(out: Folder, name: str, *, say: Say) -> Iterator[Hold]:
    """Hold a lock object, renewed by a thread of its own.

    Raises:
        InputError: another job holds it; or it cannot be written.
    """
    try:
        holder = _acquire(out, name, say)
    except OSError as error:
        raise InputError(f"--out {out.url}: cannot be written ({error}); check the bucket and credentials") from error
    hold = Hold(renewed=time.monotonic())
    done = threading.Event()
    renewer = threading.Thread(target=_renew, args=(out, name, holder, hold, done), daemon=True)
    renewer.start()
    try:
        yield hold
    finally:
        done.set()
        renewer.join()
        if not hold.lost and _read(out, name)[0].get("token") == holder.token:
            out.delete(name)


def _acquire(out: Folder, name: str, say: Say) -> Holder:
    """Create the lock, or take it over from a job that died."""
    own = Holder.here()
    while not out.create(name, own.content):
        other, content = _read(out, name)
        if not content:
            continue  # released just now
        if not is_dead(other):
            _wait_until_stale(out, name, content, say)
        if _replace(out, name, seen=content, content=own.content):
            say(f"took over the lock of a job that died ({describe_holder(other)})")
            break
    return own


def _wait_until_stale(out: Folder, name: str, content: bytes, say: Say) -> None:
    """Return when the lock has gone, or has not been renewed for STALE_SECONDS by this machine's clock.

    Raises:
        InputError: it was renewed.
    """
    began = reported = time.monotonic()
    say(f"the output is locked by {describe_holder(_read(out, name)[0])}; checking whether that job is alive")
    while (waited := time.monotonic() - began) < STALE_SECONDS:
        time.sleep(POLL_SECONDS)
        holder, now = _read(out, name)
        if not now:
            return
        if now != content:
            raise held_elsewhere(out.url, describe_holder(holder))
        if time.monotonic() - reported >= REPORT_SECONDS:
            reported = time.monotonic()
            say(f"no sign of it for {waited:.0f} s; taking over in {max(0.0, STALE_SECONDS - waited):.0f} s")


def _renew(out: Folder, name: str, holder: Holder, hold: Hold, done: threading.Event) -> None:
    """Renew the lock until `done`; set `hold.lost` when another holds it."""
    content, times = holder.content, 0
    while not done.wait(RENEW_SECONDS) and not hold.lost:
        times += 1
        renewed = replace(holder, renewed=times).content
        began = time.monotonic()  # before the request: others count from when it arrives
        with suppress(OSError):  # storage may come back in time; `hold.check` knows when it did not
            hold.lost = not _replace(out, name, seen=content, content=renewed)
            content, hold.renewed = renewed, began


def _replace(out: Folder, name: str, *, seen: bytes, content: bytes) -> bool:
    """Replace the lock where it still is as seen; True where it then holds `content`."""
    if hasattr(out.fs, "call_s3"):
        return _replace_by_tag(out, name, seen=seen, content=content)
    return _replace_and_look(out, name, seen=seen, content=content)


def _replace_by_tag(out: Folder, name: str, *, seen: bytes, content: bytes) -> bool:
    """Replace the lock on S3, which decides by one conditional request: the tag changes with the content."""
    fs, path = out.fs, out.path(name)
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


def _replace_and_look(out: Folder, name: str, *, seen: bytes, content: bytes) -> bool:
    """Replace the lock on storage without conditional requests: who wrote last, after a pause for others, has won."""
    if _read(out, name)[1] != seen:
        return False
    with_retries(lambda: out.fs.pipe_file(out.path(name), content))
    time.sleep(0 if out.local else POLL_SECONDS)
    return _read(out, name)[1] == content


def _read(out: Folder, name: str) -> tuple[dict[str, Any], bytes]:
    """Read the lock's holder and content; both are empty where it is free."""
    content = out.read_if_there(name) or b""
    try:
        holder = json.loads(content)
    except ValueError:  # cut short or foreign: its holder is unknown, and does not renew it
        holder = {}
    return (holder if isinstance(holder, dict) else {}), content
