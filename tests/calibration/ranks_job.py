"""Ranks that solve problems together: ``python -m tests.calibration.ranks_job FOLDER``.

Two ranks try what cannot be solved. They solve several problems, and rank 0 solves them alone too.
Then they solve a problem with a checkpoint in FOLDER, and rank 1 is killed in the search for
records. Three ranks go on from the checkpoint. At last, four ranks lose one, and then three ranks,
while another one computes. What each rank says is printed as JSON. The ranks are forked, so that
packages are imported only once.
"""

import json
import os
import signal
import socket
import sys
import time
import traceback
from pathlib import Path

import numpy as np
import torch.distributed as dist

from l0.calibration import CalibrationProblem
from l0.calibration import Path as PathSelector
from l0.calibration.checkpoints import stages
from l0.calibration.fitting import choice, dissection
from l0.common import ranks
from l0.common.errors import InputError
from l0.common.ranks import RankLost
from l0.common.torch_ranks import ROLL_CALL, TorchRanks, torch_ranks
from tests.calibration import problems
from tests.calibration.fitting.matrices import nested


def rank_variables(size):
    """List the variables of the environment that torchrun gives to each rank."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return [
        {
            "RANK": str(rank),
            "WORLD_SIZE": str(size),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
        }
        for rank in range(size)
    ]


def fork(size, function, folder):
    """Call a function on forked ranks, and give the exit status and the words of each."""
    children = []
    for rank, variables in enumerate(rank_variables(size)):
        child = os.fork()
        if not child:
            status = 1
            try:
                os.environ.update(variables)
                dist.init_process_group("gloo")
                said = json.dumps(function(folder / "checkpoint"))
                (folder / f"{size}-{rank}.json").write_text(said)
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(status)
        children.append(child)
    statuses = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    files = [folder / f"{size}-{rank}.json" for rank in range(size)]
    return [
        (status, json.loads(file.read_text()) if file.exists() else {})
        for status, file in zip(statuses, files, strict=True)
    ]


def last_problem():
    return problems.problem(n=900, m=20, density=0.7, seed=5)


def solve_last(**options):
    return last_problem().solve(80, epochs=10, **options)


def a_nested_problem():
    rng = np.random.default_rng(0)
    matrix = nested(rng, states=4, districts=4, k=1_500)
    weights = rng.uniform(5, 15, matrix.shape[1])
    values = matrix @ (weights * rng.lognormal(0, 0.3, len(weights)))
    return CalibrationProblem.from_matrix(matrix, values, weights)


def differing():
    """Solve problems on all ranks and on rank 0 alone, and name those with other solutions."""
    plain = problems.problem(n=500, m=20, density=0.7)
    found = {
        name: differs(plain, 60, method=name, epochs=5) for name in ("hybrid", "hard_concrete")
    }
    found["all records"] = differs(plain, None, replicates=5)
    choice.MOST_PRODUCTS = choice.MOST_OF_FULL = choice.QUICK = dissection.SMALL = 0
    found["nested"] = differs(a_nested_problem(), 100, epochs=5)
    choice.MOST = choice.MOST_PER_ENTRY = 0
    found["first order"] = differs(plain, 60, method=PathSelector(depth=4), epochs=5)
    return [name for name, is_other in found.items() if is_other]


def differs(problem, n_records, **options):
    shared = problem.solve(n_records, distributed=True, **options)
    if dist.get_rank():  # the ranks have compared what they found
        return False
    alone = problem.solve(n_records, **options)
    tables = {"weights", "targets", "replicates"} & alone.tables.keys()
    same = all(alone.tables[name].equals(shared.tables[name]) for name in tables)
    return not (same and alone.values.tobytes() == shared.values.tobytes())


def die_in_a_search(folder):
    """Kill this process in the search for records, after rank 0 has kept a state of it."""
    joined = TorchRanks.joined

    def dying(self, part, lengths):
        if list(folder.glob("*-select-1.*")):
            os.kill(os.getpid(), signal.SIGKILL)
        return joined(self, part, lengths)

    TorchRanks.joined = dying


def told(**options):
    """Solve a problem on all ranks, and give the kind and the text of the error."""
    try:
        problems.problem().solve(20, distributed=True, epochs=5, **options)
    except (InputError, RankLost) as error:
        return type(error).__name__, str(error)
    return "", ""


def failing(folder):
    """Solve problems that at least one rank cannot solve."""
    rank = dist.get_rank()
    full = folder.with_name("full")
    if not rank:
        full.mkdir()
        (full / "other.txt").write_text("")
    return {
        "different": told(seed=rank),
        "no folder": told(checkpoint=full),
        "one rank": told(**({"solver": 1} if rank else {})),
        "no device": told(device="meta"),
    }


def two_ranks(folder):
    found = {"failing": failing(folder), "differing": differing()}
    if dist.get_rank() == 1:
        die_in_a_search(folder)
    try:
        solve_last(distributed=True, checkpoint=folder)
    except RankLost as error:
        found["lost"] = str(error)
    return found


def three_ranks(folder):
    result = solve_last(distributed=True, checkpoint=folder, resume=True)
    return {"indices": result.indices.tolist(), "values": result.values.tolist()}


def four_ranks(folder):
    """Exchange arrays until one rank ends with an error: the others may not wait for each other."""
    try:
        with torch_ranks(True) as four:
            for call in range(8):
                if four.rank == 1 and call == 5:
                    raise InputError("on purpose")
                four.joined_array(np.ones(5), [5] * 4)
    except (InputError, RankLost) as error:
        return str(error)


def three_of_which_one_computes(folder):
    """Lose rank 1 without a word while rank 2 computes, and has no time to say that it lives."""
    try:
        with torch_ranks(True) as three:
            if three.rank == 1:
                os.kill(os.getpid(), signal.SIGKILL)
            if three.rank == 2:
                time.sleep(2 * ROLL_CALL)
            three.wait()
    except RankLost as error:
        return str(error)


def main(folder):
    ranks.LEAST_ENTRIES = ranks.LEAST_PER_NUMBER = 0
    stages.EVERY = stages.PATIENCE = 0.0
    first = fork(2, two_ranks, folder)
    kept = sorted(file.name for file in (folder / "checkpoint").iterdir())
    again = fork(3, three_ranks, folder)
    losing = [fork(4, four_ranks, folder) for _ in range(3)]
    computing = fork(3, three_of_which_one_computes, folder)
    alone = solve_last()
    of_alone = {"indices": alone.indices.tolist(), "values": alone.values.tolist()}
    said = {"first": first, "kept": kept, "again": again, "losing": losing}
    print(json.dumps({**said, "computing": computing, "alone": of_alone}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
