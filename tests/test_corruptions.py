"""Corruptions: other libraries' as oracles, moments, and laws that all keep."""

import io
import itertools
import math

import numpy as np
import pytest
import skimage.util
import torch
from matplotlib.colors import hsv_to_rgb, rgb_to_hsv
from PIL import Image
from scipy import ndimage
from skimage.filters import gaussian as skimage_gaussian

from modescope.data.corruptions import CORRUPTIONS, blur, corrupt, digital, noise, weather
from modescope.data.corruptions.images import gaussian_filter, plasma, zoomed

DETERMINISTIC = {
    "defocus_blur", "zoom_blur", "brightness", "contrast", "pixelate", "jpeg_compression", "gaussian_blur", "saturate",
}  # fmt: skip


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def pictures(count=4, channels=3, height=32, width=32, seed=0):
    # smooth and colourful, as photographs are
    draws = np.random.default_rng(seed)
    images = ndimage.gaussian_filter(draws.random((count, channels, height, width)), (0, 0, 3, 3))
    low, high = images.min(axis=(2, 3), keepdims=True), images.max(axis=(2, 3), keepdims=True)
    return torch.from_numpy((images - low) / (high - low)).float()


def as_bytes(images):
    return (images.permute(0, 2, 3, 1).numpy() * 255).round().astype(np.uint8)


@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32), (3, 33, 47), (4, 16, 12), (2, 9, 9)])
def test_any_size_and_channels_give_images_again(name, shape):
    images = pictures(2, *shape)
    for intensity in range(1, 6):
        made = corrupt(images, name, intensity, generator())
        assert made.shape == images.shape
        assert made.dtype == images.dtype
        assert torch.isfinite(made).all()
        assert 0 <= made.min()
        assert made.max() <= 1


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_the_same_generator_gives_the_same_images_and_each_image_has_its_own_draws(name):
    images = pictures(1).expand(3, -1, -1, -1).contiguous()
    one, again, other = (corrupt(images, name, 3, generator(seed)) for seed in (0, 0, 1))
    assert torch.equal(one, again)
    if name in DETERMINISTIC:
        assert torch.equal(one, other)
        torch.testing.assert_close(one[0], one[1])
    else:
        assert not torch.equal(one, other)
        assert not torch.equal(one[0], one[1])
    assert not torch.equal(one, images)


@pytest.mark.parametrize("name", sorted(set(CORRUPTIONS) - {"saturate", "elastic_transform", "spatter", "frost"}))
def test_higher_intensities_change_more(name):
    images = pictures(64)
    changed = [float((corrupt(images, name, at, generator()) - images).abs().mean()) for at in range(1, 6)]
    assert changed[4] > 1.2 * changed[0]
    assert all(later > 0.9 * before for before, later in itertools.pairwise(changed))


def test_unknown_intensities_and_names_are_refused():
    with pytest.raises(ValueError, match="An intensity is 1 to 5, not 6"):
        corrupt(pictures(1), "fog", 6, generator())
    with pytest.raises(KeyError):
        corrupt(pictures(1), "rain", 1, generator())


def test_noise_has_scikit_images_moments():
    grey = torch.full((1, 1, 300, 300), 0.5)
    made = noise.gaussian_noise(grey, generator(), 0.08).numpy()
    theirs = skimage.util.random_noise(grey[0, 0].numpy(), "gaussian", rng=0, var=0.08**2)
    np.testing.assert_allclose([made.mean(), made.std()], [theirs.mean(), theirs.std()], rtol=0.01)
    made = noise.speckle_noise(grey, generator(), 0.2).numpy()
    theirs = skimage.util.random_noise(grey[0, 0].numpy(), "speckle", rng=0, var=0.2**2)
    np.testing.assert_allclose([made.mean(), made.std()], [theirs.mean(), theirs.std()], rtol=0.01)
    made = noise.impulse_noise(grey, generator(), 0.07).numpy()
    theirs = skimage.util.random_noise(grey[0, 0].numpy(), "s&p", rng=0, amount=0.07)
    for value in (0, 1):
        assert (made == value).mean() == pytest.approx((theirs == value).mean(), abs=0.003)
    made = noise.shot_noise(grey, generator(), 50.0).numpy()
    assert made.mean() == pytest.approx(0.5, abs=0.002)
    assert made.var() == pytest.approx(0.5 / 50, rel=0.03)


@pytest.mark.parametrize("sigma", [0.4, 1.0, 2.3])
def test_gaussian_blur_is_scikit_images_and_scipys(sigma):
    images = pictures(2)
    made = blur.gaussian_blur(images, generator(), sigma)
    for image, one in zip(images, made, strict=True):
        theirs = skimage_gaussian(image.numpy(), sigma=sigma, channel_axis=0)
        np.testing.assert_allclose(one, theirs, atol=1e-5)
        scipys = [ndimage.gaussian_filter(channel, sigma, mode="nearest") for channel in image.numpy()]
        np.testing.assert_allclose(one, scipys, atol=1e-5)
    assert gaussian_filter(images, 0.0) is images


def test_lengths_grow_with_larger_images_only():
    large, small = pictures(1, 3, 64, 64), pictures(1, 3, 16, 16)
    torch.testing.assert_close(blur.gaussian_blur(large, generator(), 1.0), gaussian_filter(large, 2.0).clamp(0, 1))
    torch.testing.assert_close(blur.gaussian_blur(small, generator(), 1.0), gaussian_filter(small, 1.0).clamp(0, 1))


def test_defocus_is_the_mean_over_a_soft_disk():
    point = torch.zeros(1, 1, 31, 31)
    point[0, 0, 15, 15] = 1
    made = blur.defocus_blur(point, generator(), 1.5, 0.1)[0, 0]
    assert float(made.sum()) == pytest.approx(1, rel=1e-5)
    disk = made > 0.05
    assert int(disk.sum()) == 9  # the points no farther than 1.5 pixels
    np.testing.assert_allclose(made[disk], 1 / 9, rtol=1e-4)
    soft = torch.exp(-torch.tensor([1.0, 0.0, 1.0]) / (2 * 0.4**2))
    soft = soft / soft.sum()
    np.testing.assert_allclose(
        blur.defocus_blur(point, generator(), 0.3, 0.4)[0, 0, 14:17, 14:17], torch.outer(soft, soft), atol=1e-6
    )


def test_motion_blur_is_a_sum_along_a_line():
    images = pictures(1)
    made = blur.smeared(images, generator(), 3.0, 1.5, (0.0, 0.0))[0]  # along the row
    weights = np.exp(-(np.arange(7) ** 2) / (2 * 1.5**2))
    padded = np.pad(images[0].numpy(), ((0, 0), (0, 0), (0, 6)), mode="edge")
    expected = sum(weight * padded[:, :, tap : tap + 32] for tap, weight in enumerate(weights)) / weights.sum()
    np.testing.assert_allclose(made, expected, atol=1e-5)
    down = blur.smeared(images.mT.contiguous(), generator(), 3.0, 1.5, (90.0, 90.0))[0].mT
    np.testing.assert_allclose(down, expected, atol=1e-5)


def test_zoom_magnifies_the_middle():
    images = pictures(1, 1, 33, 33)
    assert torch.equal(zoomed(images, 1.0).round(decimals=5), images.round(decimals=5))
    larger = zoomed(images, 1.25)[0, 0].numpy()
    places = 16 + (np.mgrid[:33, :33] - 16) / 1.25
    np.testing.assert_allclose(larger, ndimage.map_coordinates(images[0, 0].numpy(), places, order=1), atol=1e-5)
    flat = torch.full((1, 3, 32, 32), 0.3)
    torch.testing.assert_close(blur.zoom_blur(flat, generator(), 1.26), flat)


def test_glass_takes_values_from_up_and_left():
    rows = torch.arange(32.0).reshape(1, 1, 32, 1).expand(1, 1, 32, 32) / 31
    made = blur.glass_blur(rows.contiguous(), generator(), 0.0, 1, 1) * 31
    moved = rows * 31 - made
    assert set(moved.round().flatten().int().tolist()) == {0, 1}
    assert float(moved[0, 0, 2:, 2:].mean()) == pytest.approx(0.5, abs=0.05)
    assert float(moved[0, 0, :2].abs().max()) < 1e-5


def test_brightness_and_saturation_are_those_of_hsv():
    images = pictures(3)
    for image, made in zip(images, digital.brightness(images, generator(), 0.2), strict=True):
        hsv = rgb_to_hsv(image.permute(1, 2, 0).numpy())
        hsv[..., 2] = np.clip(hsv[..., 2] + 0.2, 0, 1)
        np.testing.assert_allclose(made.permute(1, 2, 0), hsv_to_rgb(hsv), atol=1e-5)
    for factor, more in ((0.3, 0.0), (2.0, 0.1)):
        for image, made in zip(images, digital.saturate(images, generator(), factor, more), strict=True):
            hsv = rgb_to_hsv(image.permute(1, 2, 0).numpy())
            hsv[..., 1] = np.clip(hsv[..., 1] * factor + more, 0, 1)
            np.testing.assert_allclose(made.permute(1, 2, 0), hsv_to_rgb(hsv), atol=1e-5)
    grey = torch.full((1, 3, 8, 8), 0.5)
    np.testing.assert_allclose(digital.saturate(grey, generator(), 2.0, 0.2)[0, :, 0, 0], [0.5, 0.4, 0.4], atol=1e-6)
    black = torch.zeros(1, 3, 8, 8)
    np.testing.assert_allclose(digital.brightness(black, generator(), 0.1), 0.1, atol=1e-6)


def test_contrast_keeps_the_means():
    images = pictures(2)
    made = digital.contrast(images, generator(), 0.4)
    torch.testing.assert_close(made.mean(dim=(2, 3)), images.mean(dim=(2, 3)))
    torch.testing.assert_close(made.std(dim=(2, 3)), 0.4 * images.std(dim=(2, 3)))


@pytest.mark.parametrize("factor", [0.95, 0.75, 0.65])
@pytest.mark.parametrize("size", [32, 20])
def test_pixelate_is_pillows_box_filter(factor, size):
    images = pictures(2, 3, size, size)
    small = int(size * factor)
    for stored, made in zip(as_bytes(images), digital.pixelate(images, generator(), factor), strict=True):
        theirs = Image.fromarray(stored).resize((small, small), Image.Resampling.BOX)
        theirs = np.asarray(theirs.resize((size, size), Image.Resampling.BOX))
        assert np.abs(made.permute(1, 2, 0).numpy() * 255 - theirs).max() < 1.6  # they round to bytes, twice


@pytest.mark.parametrize("quality", [80, 58, 40, 10])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_jpeg_is_pillows(quality, mode):
    images = pictures(6, 3 if mode == "RGB" else 1, 40, 24)
    made = digital.jpeg_compression(images, generator(), quality)
    apart, lost = [], []
    for stored, one in zip(as_bytes(images), made, strict=True):
        file = io.BytesIO()
        Image.fromarray(stored if mode == "RGB" else stored[..., 0]).save(file, "JPEG", quality=quality)
        theirs = np.asarray(Image.open(file)).reshape(stored.shape).astype(float)
        apart.append(np.abs(one.permute(1, 2, 0).numpy() * 255 - theirs))
        lost.append(np.abs(stored - theirs))
    # far nearer to theirs than theirs is to the original; what lies half-way between two steps may fall either way
    assert np.mean(apart) < (0.3 if mode == "RGB" else 0.2) * np.mean(lost)
    assert np.median(apart) <= 1


def test_elastic_displacements_are_scipys():
    images = pictures(2)
    made = digital.elastic_transform(images, generator(5), 0.08, 0.06, 0.0)
    draws = generator(5)
    torch.rand((2, 3, 2), generator=draws, dtype=torch.float64)  # the three points of the affine map
    moved = 2 * torch.rand((2, 2, 32, 32), generator=draws) - 1
    for number, image in enumerate(images):
        down, right = (
            0.08 * 32 * ndimage.gaussian_filter(field, 0.06 * 32, mode="nearest", truncate=3)
            for field in moved[number].numpy()
        )
        rows, columns = np.mgrid[:32, :32]
        for channel, one in zip(image.numpy(), made[number].numpy(), strict=True):
            theirs = ndimage.map_coordinates(channel, [rows + down, columns + right], order=1, mode="nearest")
            np.testing.assert_allclose(one, theirs, atol=1e-4)


def test_elastic_moves_three_points_as_drawn():
    # a straight ramp stays a straight ramp under an affine map: its slope can be predicted from the points
    rows = (torch.arange(32.0) / 31).reshape(1, 1, 32, 1).expand(1, 1, 32, 32).contiguous()
    draws = generator(2)
    moved = (2 * torch.rand((1, 3, 2), generator=draws, dtype=torch.float64) - 1)[0].numpy() * 0.05 * 32
    before = np.array([[26, 26], [26, 6], [6, 6]], dtype=float)  # (x, y)
    after = np.concatenate([before + moved, np.ones((3, 1))], axis=1)
    back = np.linalg.solve(after, before)
    made = digital.elastic_transform(rows, generator(2), 0.0, 0.0, 0.05)[0, 0].numpy() * 31
    y, x = 15, 17
    assert made[y, x] == pytest.approx(float(np.array([x, y, 1]) @ back[:, 1]), abs=1e-3)


def fractal(side, decay, random):
    """Diamond-square as CIFAR-10-C's fog has it, one value after another: the mean of four neighbours and a wobble."""
    found, step, wobble = np.zeros((side, side)), side, 100.0
    while step >= 2:
        half = step // 2

        def put(row, column, neighbours, wobble=wobble):
            mean = sum(found[(row + down) % side, (column + right) % side] for down, right in neighbours) / 4
            found[row, column] = mean + wobble * random.uniform(-wobble, wobble)

        for row in range(half, side, step):
            for column in range(half, side, step):
                put(row, column, [(-half, -half), (-half, half), (half, -half), (half, half)])
        for row in range(0, side, half):
            for column in range((row + half) % step, side, step):
                put(row, column, [(-half, 0), (half, 0), (0, -half), (0, half)])
        step, wobble = half, wobble / decay
    return (found - found.min()) / np.ptp(found)


@pytest.mark.parametrize("decay", [1.75, 2.0, 3.0])
def test_plasma_is_as_rough_as_the_official_clouds(decay):
    random = np.random.default_rng(0)
    slow = np.stack([fractal(32, decay, random) for _ in range(60)])
    fast = plasma(400, 32, decay, generator()).numpy()
    rough = [np.abs(np.diff(maps, axis=axis)).mean() for maps in (slow, fast) for axis in (1, 2)]
    np.testing.assert_allclose(rough[2:], np.mean(rough[:2]), rtol=0.08)


def test_plasma_fills_its_range_and_smoother_is_smoother():
    rough, smooth = (plasma(20, 32, decay, generator()) for decay in (1.3, 3.0))
    for maps in (rough, smooth):
        np.testing.assert_allclose(maps.amin(dim=(1, 2)), 0, atol=1e-12)
        np.testing.assert_allclose(maps.amax(dim=(1, 2)), 1, atol=1e-12)
    assert rough.diff(dim=2).abs().mean() > 1.5 * smooth.diff(dim=2).abs().mean()


def test_weather_by_what_must_be_true():
    images = pictures(16)
    foggy = weather.fog(images, generator(), 1.0, 2.0)
    assert float(foggy.amax(dim=(1, 2, 3)).max()) <= float(images.max()) + 1e-6
    assert foggy.std() < images.std()
    frosty = weather.frost(images, generator(), 1.0, 0.4)
    assert (frosty >= images - 1e-6).all()
    snowy = weather.snow(images, generator(), 0.1, 0.2, 1.0, 0.5, 10.0, 4.0, 0.9)
    assert (snowy >= images - 1e-6).all()
    dry = weather.spatter(images, generator(), 0.0, 0.01, 0.7, 0.7, 0.5, 0)
    torch.testing.assert_close(dry, images)
    wet = weather.spatter(images, generator(), 0.62, 0.1, 0.7, 0.7, 0.5, 0)
    assert (wet >= images - 1e-6).all()
    mud = weather.spatter(images, generator(), 0.65, 0.1, 0.5, 0.68, 0.6, 1)
    changed = (mud - images).abs().amax(dim=1) > 1e-6
    brown = torch.tensor([63.0, 42.0, 20.0]) / 255
    strongest = (mud - brown[:, None, None]).abs().sum(dim=1)[changed].min()
    assert 0.01 < changed.float().mean() < 0.6
    assert float(strongest) < 0.2


def test_cosine_transform_is_orthonormal():
    basis = digital._cosines()
    np.testing.assert_allclose(basis @ basis.T, np.eye(8), atol=1e-12)
    assert float(basis[0, 0]) == pytest.approx(math.sqrt(1 / 8))
