"""Draw the example picture: a soccer ball on grass, computed from its geometry alone.

    python scripts/draw_soccer_ball.py examples/soccer_ball.jpg

The classic ball is a truncated icosahedron blown up to a sphere: twelve black pentagons
where an icosahedron has its corners, twenty white hexagons where it has its faces. Every
pixel of it is a ray that meets a sphere; the lawn is sixty thousand blades, painted from
the back to the front. Lengths are in radii of the ball (11 cm), y points up and z to the
camera; colours are linear RGB until `to_picture`.
"""

from __future__ import annotations

import argparse
from itertools import combinations, pairwise, product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Array = NDArray[np.float64]

SEED = 5
WIDTH, HEIGHT = 1024, 768
OVERSAMPLING = 2
QUALITY = 85


def unit(vectors: Array) -> Array:
    """Return vectors (..., 3) at length 1."""
    lengths: Array = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / lengths


CAMERA = np.array([0.0, 1.9, 8.0])
TARGET = np.array([0.0, 0.86, 0.0])
FORWARD = unit(TARGET - CAMERA)
RIGHT = unit(np.cross(FORWARD, [0.0, 1.0, 0.0]))
AXES = np.stack([RIGHT, np.cross(RIGHT, FORWARD), FORWARD])  # the camera's
FOCAL_LENGTH = 2.45  # in heights of the picture
CENTRE = np.array([0.0, 0.96, 0.0])  # the ball sinks into the grass a little
SUN = unit(np.array([-0.60, 0.75, 0.55]))
SUN_RADIUS = 0.10  # of its disc in the sky, in radians: through haze, so that shadows are soft

# Light, then the part of it that things give back.
SUNLIGHT = np.array([1.00, 0.94, 0.84])
SKYLIGHT = np.array([0.55, 0.66, 0.82]) * 0.5
LAWN_LIGHT = np.array([0.13, 0.20, 0.05])
SKY, TREES = np.array([0.60, 0.74, 0.90]), np.array([0.045, 0.085, 0.030])
SOIL, BLADE = np.array([0.025, 0.045, 0.012]), np.array([0.13, 0.29, 0.045])
WHITE, BLACK, SEAM = (np.full(3, value) for value in (0.82, 0.014, 0.05))
SEAM_WIDTH, BEND_WIDTH, BEND = 0.010, 0.05, 0.45
TURN = (0.35, 0.25, 0.10)  # of the ball about x, y and z

BLADES, CROWNS = 60_000, 400
BANDS = (-1000.0, -15.0, -9.0, -6.0, -4.0, -2.5, -1.5, -0.8, -0.4)  # of z, behind the ball
BLUR = 0.006  # of the height


def truncated_icosahedron() -> tuple[Array, NDArray[np.bool_]]:
    """Return the normals of the 32 faces, (32, 3), and which are pentagons, (32,).

    A normal is one over its face's distance from the centre long, so that a direction goes
    through the face whose normal has the greatest product with it.
    """
    golden = (1 + 5**0.5) / 2
    rows = [(0.0, a, b * golden) for a, b in product((-1, 1), repeat=2)]
    corners = np.array([np.roll(row, turn) for row in rows for turn in range(3)])
    joined = np.isclose(np.linalg.norm(corners[:, None] - corners, axis=-1), 2)
    # Cut at the thirds of the edges, the corners leave pentagons, the triangles hexagons.
    cuts = np.array([(2 * corners[i] + corners[j]) / 3 for i, j in np.argwhere(joined)])
    triangles = [
        corners[list(three)].sum(axis=0)
        for three in combinations(range(len(corners)), 3)
        if all(joined[i, j] for i, j in combinations(three, 2))
    ]
    normals = unit(np.array([*corners, *triangles]))
    distances = (normals @ cuts.T).max(axis=1, keepdims=True)
    return normals / distances, np.arange(len(normals)) < len(corners)


def rotation(x: float, y: float, z: float) -> Array:
    """Return the matrix (3, 3) that turns about the x, then the y, then the z axis."""
    result = np.eye(3)
    for angle, (i, j) in zip((x, y, z), ((1, 2), (2, 0), (0, 1)), strict=True):
        turn = np.eye(3)
        turn[i, i] = turn[j, j] = np.cos(angle)
        turn[i, j], turn[j, i] = -np.sin(angle), np.sin(angle)
        result = turn @ result
    return result


def rays(width: int, height: int) -> Array:
    """Return the direction through the middle of each pixel, (height, width, 3)."""
    x = (np.arange(width) + 0.5 - width / 2) / (FOCAL_LENGTH * height)
    y = (height / 2 - np.arange(height) - 0.5) / (FOCAL_LENGTH * height)
    plane = np.stack([*np.meshgrid(x, y), np.ones((height, width))], axis=-1)
    return unit(plane @ AXES)


def project(points: Array, width: int, height: int) -> Array:
    """Return where points (..., 3) stand in the picture, (..., 2) in pixels."""
    seen = (points - CAMERA) @ AXES.T
    scale = np.array([1.0, -1.0]) * FOCAL_LENGTH * height
    pixels: Array = seen[..., :2] / seen[..., 2:] * scale + np.array([width, height]) / 2
    return pixels


def lawn_light(points: Array, random: np.random.Generator) -> Array:
    """Return the light on the ground at points (n, 3): sun with a soft shadow, and sky."""
    to_ball = CENTRE - points
    samples, sun = 32, np.zeros(len(points))
    for direction in unit(SUN + random.normal(0, SUN_RADIUS, (samples, 3))):
        along = to_ball @ direction
        sun += ((to_ball**2).sum(axis=1) - along**2 > 1) | (along < 0)
    distance = np.linalg.norm(to_ball, axis=1)
    # The part of the sky that the ball takes, weighted by the cosine: a sphere's form factor.
    hidden = np.clip(to_ball[:, 1] / distance**3, 0, 0.9)
    sunlit, skylit = (sun / samples * SUN[1])[:, None], (1 - hidden)[:, None]
    light: Array = sunlit * SUNLIGHT + skylit * SKYLIGHT
    return light


def trace_ball(width: int, height: int) -> tuple[Image.Image, Image.Image]:
    """Return the ball and its mask, both (width x height): a ray for each pixel."""
    view = rays(width, height)
    along = view @ (CENTRE - CAMERA)
    depth = along**2 - ((CENTRE - CAMERA) ** 2).sum() + 1
    rows, columns = np.nonzero(depth > 0)
    view = view[rows, columns]
    hit = CAMERA + view * (along - np.sqrt(np.maximum(depth, 0)))[rows, columns][:, None]
    outside = hit - CENTRE

    faces, pentagon = truncated_icosahedron()
    turn = rotation(*TURN)
    faces = faces @ turn.T
    products = outside @ faces.T
    best = np.argsort(products, axis=1)[:, -2:]
    nearest, second = products[np.arange(len(best))[:, None], best].T[::-1]
    across = faces[best[:, 0]] - faces[best[:, 1]]  # from this panel over its nearest seam
    to_seam = (nearest - second) / np.linalg.norm(across, axis=1)
    across -= (across * outside).sum(axis=1, keepdims=True) * outside

    # The leather curves down into its seams.
    bend = BEND * np.exp(-((to_seam / BEND_WIDTH) ** 2))
    normal = unit(outside + unit(across) * bend[:, None])
    colour = np.where(pentagon[best[:, 1]][:, None], BLACK, WHITE)
    grain = 1 + 0.04 * sum(
        np.sin(outside @ turn @ np.roll([7.0, 3.1, 5.3], i) * 2 + i) for i in range(3)
    )
    colour = colour * np.asarray(grain)[:, None]
    stitch = np.clip(1.5 - to_seam / SEAM_WIDTH, 0, 1)[:, None]
    colour = colour + (SEAM - colour) * stitch

    up = 0.5 + 0.5 * normal[:, 1:2]
    near_ground = np.clip((hit[:, 1:2] + 0.1) / 0.9, 0, 1)
    light = np.clip(normal @ SUN, 0, None)[:, None] * SUNLIGHT
    light = light + up * SKYLIGHT + (1 - up) * LAWN_LIGHT * (0.35 + 0.65 * near_ground)
    half = unit(SUN - view)
    gloss = np.clip((normal * half).sum(axis=1), 0, 1)[:, None] ** 60 * SUNLIGHT * 0.35
    grazing = (1 - np.clip(-(normal * view).sum(axis=1), 0, 1))[:, None] ** 5
    mirrored = up * SKY * (0.04 + 0.5 * grazing) * 0.6
    canvas = np.zeros((height, width, 3))
    canvas[rows, columns] = (colour * light + gloss + mirrored) * (1 - 0.5 * stitch)
    return to_picture(canvas), Image.fromarray(depth > 0)


def background(width: int, height: int, random: np.random.Generator) -> Image.Image:
    """Return sky, trees and bare ground (width x height)."""
    view = rays(width, height)
    canvas = SKY * (1 - 0.8 * np.clip(view[..., 1:2], 0, 1))
    ground = view[..., 1] < 0
    foot = CAMERA + view[ground] * (CAMERA[1] / -view[ground][:, 1:2])
    # The farther away, the flatter the eye falls on the lawn: it sees blades, no soil.
    flat = np.clip((CAMERA[2] - foot[:, 2:]) / 20, 0, 1)
    canvas[ground] = (SOIL + flat * (0.75 * BLADE - SOIL)) * lawn_light(foot, random)
    picture = to_picture(canvas)

    trees = ImageDraw.Draw(picture)
    horizon = int(ground.argmax(axis=0)[0])
    for _ in range(CROWNS):
        x, rise = random.uniform(-0.05, 1.05) * width, random.uniform(0, 0.09) * height
        radius = random.uniform(0.02, 0.05) * height
        shade = to_picture((TREES * random.uniform(0.5, 1.8))[None, None]).getpixel((0, 0))
        trees.circle((x, horizon - rise), radius, fill=shade)
    picture.paste(to_picture(canvas), mask=Image.fromarray(ground))
    return picture


def paint_lawn(picture: Image.Image, far: float, near: float, random: np.random.Generator) -> None:
    """Draw the blades that stand between two values of z, the farthest first."""
    width, height = picture.size
    ends = project(np.array([[0.0, 0.0, far], [0.0, 0.0, near]]), width, height)[:, 1]
    top, bottom = np.clip(ends, 0, height * 1.25)
    # As many in each line of pixels: a lawn is so dense that only the picture limits it.
    count = int(BLADES * (bottom - top) / height)
    x = random.uniform(-0.05, 1.05, count) * width
    y = np.sort(random.uniform(top, bottom, count))
    view = np.stack([x - width / 2, height / 2 - y, np.full(count, FOCAL_LENGTH * height)], 1)
    view = view @ AXES
    foot = CAMERA + view * (CAMERA[1] / -view[:, 1:2])
    foot = foot[np.hypot(foot[:, 0], foot[:, 2]) > 0.4]  # none grows under the ball
    count = len(foot)

    length = random.uniform(0.12, 0.26, (count, 1))
    lean = random.normal(0, 0.4, (count, 2))
    bend = np.stack([lean[:, 0], np.ones(count), lean[:, 1]], axis=1)
    middle = foot + length * 0.6 * (bend * [0.5, 1, 0.5])
    tip = foot + length * unit(bend * [1.6, 1, 1.6])
    half = random.uniform(0.006, 0.012, (count, 1)) * RIGHT
    outline = np.stack([foot - half, middle - half * 0.8, tip, middle + half * 0.8, foot + half], 1)
    tint = random.uniform(0.55, 1.25, (count, 1)) * (1 + random.normal(0, 0.12, (count, 3)))
    lit = BLADE * tint * lawn_light(foot, random)
    colours = np.asarray(to_picture(lit[None]))[0]
    brush = ImageDraw.Draw(picture)
    for corners, colour in zip(project(outline, width, height), colours.tolist(), strict=True):
        brush.polygon([tuple(corner) for corner in corners.tolist()], fill=tuple(colour))


def to_picture(canvas: Array) -> Image.Image:
    """Return linear colours as an sRGB picture. Source: IEC 61966-2-1."""
    linear = np.clip(canvas, 0, 1)
    encoded = np.where(linear < 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return Image.fromarray(np.rint(encoded * 255).astype(np.uint8))


def draw(width: int = WIDTH, height: int = HEIGHT, seed: int = SEED) -> Image.Image:
    """Return the picture, RGB (width x height); the same for the same seed."""
    random = np.random.default_rng(seed)
    large = (width * OVERSAMPLING, height * OVERSAMPLING)
    picture = background(*large, random)
    for far, near in pairwise(BANDS):
        paint_lawn(picture, far, near, random)
        # Every band is blurred again with those behind it: the lens is focused on the ball.
        radius = BLUR * large[1] * min(1, near / BANDS[1])
        picture = picture.filter(ImageFilter.GaussianBlur(radius))
    paint_lawn(picture, BANDS[-1], 0.0, random)
    ball, mask = trace_ball(*large)
    picture.paste(ball, mask=mask)
    paint_lawn(picture, 0.0, CAMERA[2] - 3, random)
    return picture.resize((width, height), Image.Resampling.BOX)


def main() -> None:
    """Draw the picture into the file that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, help="a .jpg or .png")
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args()
    draw(seed=options.seed).save(options.file, quality=QUALITY, optimize=True)


if __name__ == "__main__":
    main()
