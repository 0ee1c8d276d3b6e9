"""The tutorial's script: python classify_image.py --image photo.jpg [--model vgg16]"""

import argparse
import sys

from topfive import Classifier, TopfiveError
from topfive.errors import EngineError
from topfive.pictures import annotate, window

parser = argparse.ArgumentParser(description="Print the five best labels, then show the picture.")
parser.add_argument("-i", "--image", required=True, help="path to the input image")
parser.add_argument("-m", "--model", "--network", default="vgg16", help="name of the network")
options = parser.parse_args()

try:
    classifier = Classifier(options.model)
    result = classifier.classify(options.image)
    for rank, prediction in enumerate(result.predictions, start=1):
        print(f"{rank}. {prediction.label}: {prediction.probability:.2%}", flush=True)
    drawn = annotate.draw(classifier.decode(options.image), result)
except TopfiveError as error:
    sys.stderr.write(f"classify_image.py: {error}\n")
    sys.exit(error.exit_status)

try:
    window.show(drawn, "Classification")
except EngineError as error:  # no screen: the answer is out all the same
    sys.stderr.write(f"classify_image.py: {error}\n")
