"""The tutorial's script, step by step as it tells, on Keras and TensorFlow.

    python benchmarks/tutorial.py --image photo.jpg --model vgg16

What topfive is measured against, and nothing is tuned: it imports, builds, loads,
prepares, predicts and prints. Only the window with the picture at its end is left out.
"""

import argparse

import numpy as np
from keras.applications import (
    VGG16,
    VGG19,
    InceptionV3,
    ResNet50,
    Xception,
    imagenet_utils,
    inception_v3,
)
from keras.utils import get_file, img_to_array, load_img

MODELS = {
    "vgg16": VGG16,
    "vgg19": VGG19,
    "inception": InceptionV3,
    "xception": Xception,
    "resnet": ResNet50,
}

parser = argparse.ArgumentParser()
parser.add_argument("--image", required=True, help="path to the input image")
parser.add_argument("--model", default="vgg16", help="name of the pre-trained network")
# Random weights cannot have the published hash. These two name a file in Keras's folder and
# its hash, for what "imagenet" does at each start with the published ones: compare, then load.
parser.add_argument("--weights", default="imagenet", help="a file in Keras's folder")
parser.add_argument("--hash", help="its MD5")
options = parser.parse_args()

if options.model not in MODELS:
    raise AssertionError("The --model command line argument should be a key in `MODELS`")

shape, preprocess = (224, 224), imagenet_utils.preprocess_input
if options.model in ("inception", "xception"):
    shape, preprocess = (299, 299), inception_v3.preprocess_input

weights = options.weights
if weights != "imagenet":
    weights = get_file(weights, "http://127.0.0.1:9", cache_subdir="models", file_hash=options.hash)
model = MODELS[options.model](weights=weights)

image = load_img(options.image, target_size=shape)
image = img_to_array(image)
image = np.expand_dims(image, axis=0)
image = preprocess(image)

predictions = model.predict(image)
answers = imagenet_utils.decode_predictions(predictions)
for i, (_, label, probability) in enumerate(answers[0]):
    print(f"{i + 1}. {label}: {probability * 100:.2f}%")
