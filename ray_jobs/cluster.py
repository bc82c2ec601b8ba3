"""Cluster: join the Ray that this job was submitted to, or start one on this machine, on loopback."""

import logging
import os
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import ray
from ray._private.services import canonicalize_bootstrap_address_or_die
from ray._private.state import available_resources_per_node
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from pipeline.errors import InputError
from pipeline.storage.folder import Folder
from pipeline.storage.retries import is_full
from pipeline.storage.urls import is_local

ANSWER_SECONDS = 15.0  # for a head to answer; Ray itself tries for two minutes, and then ends the process
GCS = "/ray.rpc.NodeInfoGcsService/CheckAlive"
OBJECT_STORE_BYTES = 256 << 20  # only tasks and records pass through it


@dataclass(frozen=True)
class Slots:
    """How encoder actors are laid out: `count` of them, each with `cpus` CPUs and `gpus` GPUs."""

    device: str
    count: int
    cpus: int

    @property
    def gpus(self) -> int:
        return 1 if self.device == "cuda" else 0


def connect() -> str:
    """Join the cluster of RAY_ADDRESS, or start Ray here.

    Returns:
        Which cluster this is, in a line.

    Raises:
        InputError: nobody answers at RAY_ADDRESS, it is no address of a cluster, or Ray does not start here.
        OSError: there is no room for Ray's files.
    """
    address = os.environ.get("RAY_ADDRESS", "")
    own = address in ("", "local")
    if own:
        _start_here()
    else:
        _refuse_silence(address)
        try:
            ray.init(logging_level=logging.WARNING)
        except (
            ConnectionError,
            ValueError,
            RuntimeError,
            RayError,
        ) as error:  # other versions, no token
            raise _wrong_address(address, _in_a_line(error)) from error
    nodes, resources = _nodes(), _resources()
    what = "started here" if own else f"joined {address if '://' in address else ray.get_runtime_context().gcs_address}"
    cpus, gpus = (int(resources.get(name, 0)) for name in ("CPU", "GPU"))
    return f"Ray: {what}, {len(nodes)} node{'s' if len(nodes) > 1 else ''}, {cpus} CPUs, {gpus} GPUs"


def _start_here() -> None:
    """Start Ray on this machine, on loopback.

    Raises:
        InputError: it does not start.
        OSError: there is no room for its files.
    """
    try:
        ray.init(
            address="local",
            include_dashboard=False,
            object_store_memory=OBJECT_STORE_BYTES,
            logging_level=logging.WARNING,
        )
    except Exception as error:  # which is the class that Ray raises where one of its processes does not answer
        if isinstance(error, OSError) and is_full(error):
            raise
        place = Path(os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp", "ray")
        raise InputError(
            f"Ray does not start on this machine: {_in_a_line(error)}. Its files lie in {place}, its logs in "
            "session_latest/logs there; RAY_TMPDIR names another folder, with room and a short path. On a "
            "machine that is busy, or short of processes or open files (ulimit), run the same command again later"
        ) from error


def _in_a_line(error: Exception) -> str:
    return " ".join(str(error).split())[:400].rstrip(".")


def _refuse_silence(address: str) -> None:
    """Ask whether a cluster is at an address.

    Raises:
        InputError: there is none.
    """
    scheme, client, place = address.rpartition("://")
    if client and scheme != "ray":
        raise _wrong_address(address, f"{scheme}:// is where `ray job submit` sends jobs to")
    if not place or place.startswith(":"):  # over which Ray prints a traceback, or waits
        raise _wrong_address(address, "names no host")
    try:
        place = place if client else canonicalize_bootstrap_address_or_die(address)
    except (ConnectionError, ValueError) as error:
        raise _wrong_address(address, _in_a_line(error)) from error
    if os.environ.get("RAY_USE_TLS", "0") in ("1", "true"):  # whose certificates only Ray knows how to read
        return
    with grpc.insecure_channel(place, [("grpc.enable_http_proxy", 0)]) as channel:  # nor does Ray ask a proxy
        try:
            if client:
                grpc.channel_ready_future(channel).result(ANSWER_SECONDS)
            else:
                channel.unary_unary(GCS)(b"", timeout=ANSWER_SECONDS, wait_for_ready=True)
        except (grpc.RpcError, grpc.FutureTimeoutError) as error:
            code = error.code() if isinstance(error, grpc.Call) else grpc.StatusCode.DEADLINE_EXCEEDED
            if code is grpc.StatusCode.UNIMPLEMENTED:
                raise _wrong_address(address, "something else than a head answers there") from error
            if code is not grpc.StatusCode.UNAUTHENTICATED:  # which a head says
                raise _wrong_address(address, f"no head answers at {place}") from error


def _wrong_address(address: str, why: str) -> InputError:
    return InputError(
        f"RAY_ADDRESS {address}: {why}; give the host and port of a running head, as `ray start --head` prints it "
        "(HOST:6379), `auto` on one of its nodes, or unset RAY_ADDRESS to start Ray here"
    )


def lay_out_slots(*, device: str, encoders: int, cpus_per_gpu: int) -> Slots:
    """Fit encoder actors into the cluster.

    Args:
        device: auto, cpu or cuda.
        encoders: how many; 0 for as many as fit.

    Raises:
        InputError: cuda is asked for and the cluster has no GPU.
    """
    resources = _resources()
    gpus = int(resources.get("GPU", 0))
    if device == "cuda" and not gpus:
        raise InputError("--device cuda: Ray knows no GPU here; start its nodes with --num-gpus, or give --device cpu")
    chosen = "cuda" if device == "cuda" or (device == "auto" and gpus) else "cpu"
    biggest = max(int(node["Resources"].get("CPU", 1)) for node in _nodes())
    cpus = min(cpus_per_gpu, biggest)  # an actor that fits no node would wait for ever
    fit = gpus if chosen == "cuda" else int(resources.get("CPU", 1)) // cpus
    return Slots(chosen, min(encoders or fit, fit) or 1, cpus)


def has_room(slots: Slots) -> bool:
    """Whether a node has room for one more actor now."""
    nodes = available_resources_per_node().values()  # type: ignore[no-untyped-call]
    return any(node.get("CPU", 0) >= slots.cpus and node.get("GPU", 0) >= slots.gpus for node in nodes)


def refuse_hidden_paths(out: Folder, paths: list[str]) -> None:
    """Refuse, on more than one node, an output or inputs that not every node can see.

    Args:
        paths: what units are made from: local paths that are there, and URLs.

    Raises:
        InputError: naming the path and the node.
    """
    nodes = _nodes()
    local = [path for path in paths if is_local(path)]
    if len(nodes) < 2 or not (out.local or local):
        return
    probe = f"run/probe-{uuid.uuid4().hex}"
    out.write(probe, b"")
    seen = [out.path(probe)] * out.local + local
    try:
        for node in nodes:
            there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            try:
                missing = ray.get(ray.remote(_missing).options(num_cpus=0, scheduling_strategy=there).remote(seen))
            except RayError:  # the node has gone meanwhile, and what is gone needs to see nothing
                continue
            if missing:
                path = out.url if missing[0] == seen[0] and out.local else missing[0]
                raise InputError(
                    f"{path}: node {node['NodeManagerAddress']} cannot see it; "
                    "on more than one node give paths on shared storage, or URLs such as s3://"
                )
    finally:
        out.remove(probe)


class ClusterLostError(Exception):
    """The Ray that this job runs in has died."""


def refuse_dead_cluster() -> None:
    """Look whether Ray still lives on the driver's own node; Ray itself does not end a driver whose node has died.

    Raises:
        ClusterLostError: it does not.
    """
    own = ray.get_runtime_context().get_node_id()
    if own not in [node["NodeID"] for node in _nodes()]:
        raise ClusterLostError("Ray's own process on this machine (the raylet) died, out of memory perhaps")


def _missing(paths: list[str]) -> list[str]:
    return [path for path in paths if not Path(path).exists()]


def _resources() -> dict[str, float]:
    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return resources


def _nodes() -> list[dict[str, Any]]:
    return [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
