"""Loads an exported SavedModel with TensorFlow alone, and compares what it predicts with Lockstep's prediction.

    python saved_model.py FOLDER EXPECTED      (needs tensorflow and safetensors)

EXPECTED is as for compare.py. Prints a line of JSON; fails above the limit.
"""

import json
import sys

import tensorflow as tf
from safetensors.tensorflow import load_file

LIMIT = 1e-4


def main(folder: str, expected: str) -> int:
    predict = tf.saved_model.load(folder).signatures["serving_default"]
    ours = load_file(expected)
    inputs = {"x": ours["x"], "t": ours["t"], "labels": tf.cast(ours["labels"], tf.int32)}
    wanted = predict.structured_input_signature[1]
    found = predict(**{name: value for name, value in inputs.items() if name in wanted})["eps"]
    difference = float(tf.reduce_max(tf.abs(found - ours["eps"])))
    print(json.dumps({"savedModel": tf.__version__, "largestDifference": difference, "limit": LIMIT}))
    return 0 if difference <= LIMIT else 1


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
