"""The W&B report's pipeline: tf.data, Keras `fit`, and after each epoch a confusion matrix and a saved network.

    python keras_pipeline.py DATA.npz FOLDER

Trains one epoch for each line on the standard input, and answers with its seconds as JSON.
"""

import json
import sys
import time

import keras
import numpy as np
import tensorflow as tf
from sklearn.metrics import confusion_matrix

BATCH = 128


def small_cnn():
    """The report's SmallCNN as its code reads; 15,722 parameters."""
    layers = [keras.Input((32, 32, 3))]
    for features in (16, 32, 32):
        layers += [keras.layers.Conv2D(features, 3, padding="same", activation="relu"), keras.layers.MaxPooling2D(2)]
    layers += [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(32, activation="relu")]
    return keras.Sequential([*layers, keras.layers.Dropout(0.1), keras.layers.Dense(10, activation="softmax")])


class AfterEachEpoch(keras.callbacks.Callback):
    """What the report keeps of an epoch."""

    def __init__(self, images, labels, folder):
        super().__init__()
        self.images, self.labels, self.folder = images, labels, folder

    def on_epoch_end(self, epoch, logs=None):
        predicted = self.model.predict(self.images, verbose=0).argmax(axis=1)
        self.matrix = confusion_matrix(self.labels, predicted)
        self.model.save(f"{self.folder}/{time.time_ns()}.keras")


def main():
    source, folder = sys.argv[1:]
    data = np.load(source)
    train, test = data["x_train"].astype("float32") / 255, data["x_test"].astype("float32") / 255
    batches = tf.data.Dataset.from_tensor_slices((train, data["y_train"])).shuffle(1024).batch(BATCH)
    validation = tf.data.Dataset.from_tensor_slices((test, data["y_test"])).batch(BATCH)
    batches, validation = batches.prefetch(tf.data.AUTOTUNE), validation.prefetch(tf.data.AUTOTUNE)
    network = small_cnn()
    network.compile(keras.optimizers.Adam(1.6e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    after = AfterEachEpoch(test, data["y_test"], folder)
    network.fit(batches.take(5), validation_data=validation.take(2), verbose=0, callbacks=[after])  # traces the graphs
    print(json.dumps({"parameters": network.count_params(), "version": tf.__version__}), flush=True)
    for _ in sys.stdin:
        started = time.perf_counter()
        history = network.fit(batches, validation_data=validation, verbose=0, callbacks=[after]).history
        seconds = time.perf_counter() - started
        print(json.dumps({"seconds": seconds, "accuracy": history["val_accuracy"][0]}), flush=True)


if __name__ == "__main__":
    main()
