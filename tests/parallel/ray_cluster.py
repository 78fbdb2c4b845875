"""A Ray cluster of several machines on this one."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

NODE = {"object_store_memory": 100 * 2**20}


@contextmanager
def simulated_cluster(cpus_of_head: int = 2) -> Generator[Any]:
    """A cluster with one machine; others come by `add_node(num_cpus=1, **NODE)`."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": cpus_of_head, **NODE})
    try:
        yield cluster
    finally:
        cluster.shutdown()
