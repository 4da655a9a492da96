"""Can nobody else on this machine, or beyond it, reach the workers of a class?"""

import asyncio
import warnings

import psutil
import pytest
from distributed import connect

from autograder.grading.process import Limits
from autograder.grading.workers import Grading, workers


def listening():
    """The addresses that this process and those it started listen at."""
    here = psutil.Process()
    found = [one.net_connections() for one in (here, *here.children(recursive=True))]
    return {one.laddr for each in found for one in each if one.status == psutil.CONN_LISTEN}


@pytest.mark.parametrize("jobs", [2, 3])
def test_workers_are_reached_from_this_machine_alone_and_with_a_key(jobs):
    before = listening()
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # such as one about a port that is taken
        with workers(Grading({}, Limits(), sandbox=False), jobs, None) as client:
            address = client.cluster.scheduler_address
            opened = listening() - before
            assert {place.ip for place in opened} == {"127.0.0.1"} and 8787 not in {place.port for place in opened}
            if jobs == 2:
                assert address.startswith("inproc://")  # within this process
                return
            assert address.startswith("tls://")

            async def join():
                comm = await connect(address.replace("tls://", "tcp://"), timeout=3, deserialize=False)
                await comm.write({"op": "identity"})
                return await comm.read()

            with pytest.raises(Exception, match=r"."):
                asyncio.run(asyncio.wait_for(join(), 10))
            assert client.submit(sum, [1, 2]).result() == 3
