"""Mixes in other processes: tf.data service with a dispatcher and two workers.

Without further flags the script starts all three on this machine. It trains the small
network of train_cnn.py on handwritten digits by `model.fit`, and stops the processes
that it started. `--dispatcher grpc://host:port` uses a cluster that runs already.

  pip install '.[tf,examples]'
  python examples/tf_data_service.py
  python examples/tf_data_service.py --sharding dynamic

On machines of your own:

  python examples/tf_data_service.py serve-dispatcher --port 5050
  python examples/tf_data_service.py serve-worker --dispatcher grpc://host:5050
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence

import tensorflow as tf

SERVICE = tf.data.experimental.service
# The dispatcher gives up a worker that is silent for this long. Its shards are lost.
WORKER_TIMEOUT_MS = 5_000
HEARTBEAT_MS = 500


def serve_dispatcher(port: int) -> None:
    """Runs a dispatcher until the process is stopped."""
    server = SERVICE.DispatchServer(
        SERVICE.DispatcherConfig(port=port, worker_timeout_ms=WORKER_TIMEOUT_MS)
    )
    print(server.target, flush=True)
    server.join()


def serve_worker(dispatcher: str, port: int) -> None:
    """Runs a worker until the process is stopped."""
    server = SERVICE.WorkerServer(
        SERVICE.WorkerConfig(
            dispatcher_address=dispatcher.split("://")[-1],
            port=port,
            heartbeat_interval_ms=HEARTBEAT_MS,
            dispatcher_timeout_ms=60_000,
        )
    )
    print("worker is ready", flush=True)
    server.join()


@dataclasses.dataclass
class Cluster:
    """A dispatcher and workers, each a process of its own on this machine."""

    dispatcher: str
    workers: dict[int, subprocess.Popen[str]]  # by port

    def start_worker(self, port: int) -> None:
        """Starts a worker and waits until it is ready.

        A worker that replaces a dead worker must have the dead worker's address. The
        readers ask that address for the dead worker's tasks until a worker answers.
        """
        arguments = ["--dispatcher", self.dispatcher, "--port", str(port)]
        self.workers[port] = _start("serve-worker", *arguments)
        _first_line(self.workers[port])


@contextlib.contextmanager
def local_cluster(workers: int) -> Iterator[Cluster]:
    """Starts a cluster on the loopback interface, and stops all its processes."""
    dispatcher = _start("serve-dispatcher")
    cluster = Cluster("", {})
    try:
        cluster.dispatcher = _first_line(dispatcher)
        for _ in range(workers):
            cluster.start_worker(_free_port())
        yield cluster
    finally:
        for process in [*cluster.workers.values(), dispatcher]:
            process.send_signal(signal.SIGKILL)
            process.wait()


def _start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, __file__, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


def _first_line(process: subprocess.Popen[str]) -> str:
    line = process.stdout.readline().strip() if process.stdout else ""
    if not line:
        raise RuntimeError(f"{process.args} ended before it was ready")
    return line


def distributed(
    mixed: tf.data.Dataset, dispatcher: str, sharding: str
) -> tf.data.Dataset:
    """Lets the workers of a service make a dataset's elements.

    With "off" every worker goes through the whole dataset, so that an epoch is as many
    passes as there are workers. Each pass has randomness of its own, provided that the
    pipeline has no seed. With "dynamic" the workers share one pass.
    """
    policy = {
        "off": SERVICE.ShardingPolicy.OFF,
        "dynamic": SERVICE.ShardingPolicy.DYNAMIC,
    }[sharding]
    return mixed.apply(SERVICE.distribute(policy, dispatcher)).prefetch(
        tf.data.AUTOTUNE
    )


def load_images(
    args: argparse.Namespace,
) -> tuple[tf.data.Dataset, tf.data.Dataset, int, int]:
    """Loads training and test images of 32x32x3, and the numbers of images and classes.

    The third value is the number of training images, the fourth the number of classes.
    """
    import tensorflow_datasets as tfds
    from article_cnn import IMAGE_SIZE

    import tfmixup.datasets

    splits = [f"train[:{args.limit}]" if args.limit else "train", "test"]
    # Under dynamic sharding a worker sees fewer examples than the dataset has. TFDS
    # would raise an error for the missing examples.
    read = tfds.ReadConfig(assert_cardinality=False)
    (train, test), info = tfmixup.datasets.load(
        args.dataset, splits, args.data_dir, as_supervised=True, read_config=read
    )

    def resize(image: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        image = tf.image.resize(image, (IMAGE_SIZE, IMAGE_SIZE), antialias=True)
        if image.shape[-1] == 1:
            image = tf.image.grayscale_to_rgb(image)
        return tf.cast(tf.round(image), tf.uint8), label

    size = info.splits[splits[0]].num_examples
    classes = info.features[info.supervised_keys[1]].num_classes
    # The test images are read here and not by the workers, so that their number is
    # certain. Without it Keras warns of an unknown length.
    length = tf.data.experimental.assert_cardinality(info.splits["test"].num_examples)
    return train.map(resize), test.map(resize).apply(length), size, classes


def train(args: argparse.Namespace, dispatcher: str) -> float:
    """Trains by `model.fit` on the workers' batches. Returns the test accuracy."""
    from article_cnn import article_cnn

    import tfmixup

    images, test, size, num_classes = load_images(args)
    mixer = tfmixup.MixUp(args.alpha, num_classes=num_classes)
    # With a seed and sharding off, every worker would send the same batches.
    mixed = images.apply(tfmixup.two_streams(mixer, args.batch_size))
    # The stream is endless. `fit` takes an epoch's number of batches from it. A pass
    # may have fewer batches, because each worker drops a remainder of its own.
    if args.sharding == "off":
        # Repeat on the workers, so that no worker waits for a slow one.
        batches = distributed(mixed.repeat(), dispatcher, "off")
    else:
        # Repeat here. TensorFlow Datasets caches small data. A worker without a shard
        # would repeat an empty cache for ever.
        batches = distributed(mixed, dispatcher, "dynamic").repeat()
    plain = dataclasses.replace(mixer, alpha=0)
    test = test.batch(args.batch_size).map(plain).prefetch(tf.data.AUTOTUNE)
    model = article_cnn(num_classes, 1.0)
    model.fit(
        batches,
        validation_data=test,
        epochs=args.epochs,
        steps_per_epoch=size // args.batch_size,
        shuffle=False,
        verbose=2,
    )
    return model.evaluate(test, verbose=0)[1]


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "role",
        nargs="?",
        default="train",
        choices=["train", "serve-dispatcher", "serve-worker"],
        help="what this process is (default: train)",
    )
    add = parser.add_argument
    add("--dispatcher", help="grpc://host:port of a running dispatcher")
    add("--port", type=int, default=0, help="of a server; 0 takes a free one")
    add("--workers", type=int, default=2, help="to start, without --dispatcher")
    add("--sharding", choices=["off", "dynamic"], default="off")
    add("--dataset", default="bundled_digits", help="a name of TensorFlow Datasets")
    add("--data-dir", help="folder of prepared data sets; without it, TFDS's own")
    add("--limit", type=int, help="use only so many of the training images")
    add("--alpha", type=float, default=0.2)
    add("--epochs", type=int, default=5)
    add("--batch-size", type=int, default=64)
    args = parser.parse_args(argv)
    if args.role == "serve-worker" and not args.dispatcher:
        parser.error("serve-worker needs --dispatcher grpc://host:port")
    return args


def main(argv: Sequence[str] | None = None) -> None:
    """Plays the role that the command line gives it."""
    args = parse_args(argv)
    if args.role == "serve-dispatcher":
        serve_dispatcher(args.port)
    elif args.role == "serve-worker":
        serve_worker(args.dispatcher, args.port)
    else:
        with contextlib.ExitStack() as stack:
            dispatcher = args.dispatcher
            if dispatcher is None:
                cluster = stack.enter_context(local_cluster(args.workers))
                dispatcher = cluster.dispatcher
                print(f"dispatcher at {dispatcher}, {args.workers} workers")
            accuracy = train(args, dispatcher)
        passes = {
            "off": "each worker mixed passes of its own",
            "dynamic": "the workers shared each pass",
        }
        print(
            f"test accuracy {accuracy:.3f} after {args.epochs} epochs, sharding "
            f"{args.sharding}: {passes[args.sharding]}"
        )


if __name__ == "__main__":
    main()
