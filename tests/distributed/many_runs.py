"""Many epochs from tf.data service under dynamic sharding: what hangs, what is lost.

  python -m tests.distributed.many_runs --runs 200 --seed 1

Each run is one epoch from one to four TFRecord files on two workers, which are
processes of their own. In some runs a worker is killed (SIGKILL) on the way.
"""

import argparse
import collections
import contextlib
import dataclasses
import importlib.util
import pathlib
import random
import signal
import sys
import tempfile
import threading
import time

import tensorflow as tf

import tfmixup

EXAMPLE = pathlib.Path(__file__).parents[2] / "examples" / "tf_data_service.py"
# A whole number of batches in each of one to four files: no worker has a remainder.
EXAMPLES, BATCH, WORKERS = 240, 4, 2
SERVICE = tf.data.experimental.service
# Of 40 runs. A worker takes many seconds to start.
EVENTS = ["none"] * 36 + ["killed, replaced"] * 3 + ["killed, not replaced"]
MIXER = tfmixup.MixUp(1.0, num_classes=EXAMPLES, targets="pair")


def load_example():
    """The example as a module, which starts and stops clusters."""
    spec = importlib.util.spec_from_file_location("tf_data_service", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def write_files(folder: pathlib.Path, number: int) -> list[str]:
    """Example k, the number k, is in file k mod `number`."""
    names = [str(folder / f"{k}-of-{number}.tfrecord") for k in range(number)]
    for k, name in enumerate(names):
        with tf.io.TFRecordWriter(name) as file:
            for example in range(k, EXAMPLES, number):
                file.write(str(example))
    return names


def read_files(names: list[str]) -> tf.data.Dataset:
    """Examples (x, y), both the number k."""

    def parse(record):
        number = tf.strings.to_number(record, tf.int64)
        return tf.cast(number, tf.float32)[None], number

    # No shuffle of the names: under dynamic sharding plain tf.data then reads a single
    # file on both workers.
    files = tf.data.Dataset.from_tensor_slices(names)
    return files.interleave(tf.data.TFRecordDataset).map(parse)


def two_streams(examples: tf.data.Dataset) -> tf.data.Dataset:
    return examples.apply(tfmixup.two_streams(MIXER, BATCH))


def two_streams_cached(examples: tf.data.Dataset) -> tf.data.Dataset:
    return two_streams(examples.cache())


def in_batch(examples: tf.data.Dataset) -> tf.data.Dataset:
    batches = examples.shuffle(EXAMPLES).batch(BATCH, drop_remainder=True)
    return batches.apply(tfmixup.in_batch(MIXER))


PIPELINES = [two_streams, two_streams_cached, in_batch]


@dataclasses.dataclass
class Run:
    """What came of one epoch."""

    pipeline: str
    files: int
    event: str
    hung: bool  # not at its end in time
    went_on: bool  # at its end after all, when the dead worker was replaced
    lost: int  # examples that are first of no pair
    repeated: int  # that are first of more than one
    error: str = ""


class Epoch(threading.Thread):
    """Reads an epoch; `firsts` are the first examples of all pairs so far."""

    def __init__(self, dataset: tf.data.Dataset) -> None:
        super().__init__(daemon=True)
        self.dataset, self.firsts, self.error = dataset, [], ""

    def run(self) -> None:
        try:
            for _, (first, _, _) in self.dataset:
                self.firsts += first.numpy().argmax(1).tolist()
        except tf.errors.OpError as error:
            self.error = str(error)


def run(dataset, cluster, event: str, limit: float, rng: random.Random) -> dict:
    """One epoch, and what befalls a worker meanwhile; `limit` in seconds."""
    epoch = Epoch(dataset)
    epoch.start()
    ended = time.monotonic() + limit
    dead = None
    if event != "none":
        kill_at = rng.randrange(EXAMPLES // 2)
        while epoch.is_alive() and len(epoch.firsts) < kill_at:
            time.sleep(0.001)
        dead, worker = rng.choice(list(cluster.workers.items()))
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        if event == "killed, replaced":
            cluster.start_worker(dead)
        ended = time.monotonic() + (limit if event == "killed, replaced" else limit / 2)
    epoch.join(max(0, ended - time.monotonic()))
    hung = epoch.is_alive()
    if event == "killed, not replaced":  # in time; the next run needs two workers
        cluster.start_worker(dead)
        epoch.join(limit)
    counts = collections.Counter(epoch.firsts)
    return {
        "hung": hung,
        "went_on": hung and not epoch.is_alive(),
        "lost": EXAMPLES - len(counts),
        "repeated": sum(count > 1 for count in counts.values()),
        "error": epoch.error,
    }


def many_runs(number: int, seed: int, limit: float = 60, log=None) -> list[Run]:
    """So many runs, of kinds in turn; `limit` is a run's time limit in seconds."""
    example, rng, runs = load_example(), random.Random(seed), []
    events = (EVENTS * (1 + number // len(EVENTS)))[:number]
    if number < len(EVENTS):  # some of each
        events = (["none", "none", *EVENTS[-2:]] * number)[:number]
    rng.shuffle(events)
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        files = {n: write_files(pathlib.Path(folder), n) for n in (1, 2, 3, 4)}
        cluster, datasets = None, {}
        for k, event in enumerate(events):
            pipeline, n = PIPELINES[k % 3], 1 + k // 3 % 4
            if cluster is None:  # the first, or the one after a run that hung
                datasets.clear()
                stack.close()
                cluster = stack.enter_context(example.local_cluster(WORKERS))
            if (pipeline, n) not in datasets:
                mixed = pipeline(read_files(files[n]))
                dynamic = SERVICE.distribute(
                    SERVICE.ShardingPolicy.DYNAMIC, cluster.dispatcher
                )
                datasets[pipeline, n] = mixed.apply(dynamic)
            outcome = run(datasets[pipeline, n], cluster, event, limit, rng)
            runs.append(Run(pipeline.__name__, n, event, **outcome))
            if log:
                print(k, runs[-1], file=log, flush=True)
            if outcome["hung"] and not outcome["went_on"]:
                cluster = None
    return runs


def table(runs: list[Run]) -> str:
    """A line for each pipeline and event."""
    groups = collections.defaultdict(list)
    for one in runs:
        groups[one.pipeline, one.event].append(one)
    lines = [
        "| pipeline | a worker is | runs | hung | examples lost: runs, most "
        "| examples repeated: runs, most | errors |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for (pipeline, event), group in sorted(groups.items()):
        cells = [pipeline, "left alone" if event == "none" else event, len(group)]
        cells.append(sum(one.hung for one in group))
        for counts in ([r.lost for r in group], [r.repeated for r in group]):
            cells.append(f"{sum(c > 0 for c in counts)}, {max(counts)}")
        cells.append(sum(bool(one.error) for one in group))
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--limit", type=float, default=60, help="seconds of a run")
    args = parser.parse_args()
    runs = many_runs(args.runs, args.seed, args.limit, log=sys.stderr)
    print(f"{EXAMPLES} examples, {WORKERS} workers, limit {args.limit:g} s")
    print(table(runs))
    waited = [one for one in runs if one.hung]
    went_on = sum(one.went_on for one in waited)
    print(f"of {len(waited)} that hung, {went_on} ended with a new worker there")


if __name__ == "__main__":
    main()
