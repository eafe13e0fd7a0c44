"""Augmentations: each image for itself, repeatable, and exactly what the protocols say."""

import pytest
import torch

from modescope.data.augment import AUGMENTATIONS, keras_resnet_augmentation, report_augmentation
from modescope.seeds import generator


def draws(epoch=0):
    return generator(0, 0, "augment", epoch)


IMAGES = torch.rand(64, 3, 32, 32, generator=draws(9))


@pytest.mark.parametrize("name", ["report", "keras-resnet"])
def test_the_same_stream_gives_the_same_images_and_another_others(name):
    augment = AUGMENTATIONS[name]
    first = augment(IMAGES, draws(1))
    assert first.shape == IMAGES.shape
    assert torch.equal(first, augment(IMAGES, draws(1)))
    assert not torch.equal(first, augment(IMAGES, draws(2)))


def test_report_images_are_shifted_crops_with_a_common_brightness():
    ones = torch.full((2000, 1, 32, 32), 0.5)
    made = report_augmentation(ones, draws())
    assert made.min() >= 0
    assert made.max() <= 1
    # every image: a rectangle of 0.5 + shift, and padding of 0 + shift (clipped at 0); the centre is never padding
    centre = made[:, 0, 16, 16]
    shift = centre - 0.5
    assert -0.5 <= shift.min() < -0.49
    assert 0.49 < shift.max() <= 0.5
    assert abs(shift.mean()) < 0.03
    # the crop's place: count the padded rows on top of each image; 0..4 rows, and 5 places of 9 without any
    bright = shift > 0.01
    padded_rows = (made[bright, 0, :, 16] < (centre[bright] - 0.25)[:, None]).sum(dim=1)
    assert set(padded_rows.tolist()) == {0, 1, 2, 3, 4}
    assert abs((padded_rows == 0).float().mean() - 1 / 9) < 0.04
    for rows in (1, 2, 3, 4):
        assert abs((padded_rows == rows).float().mean() - 2 / 9) < 0.05


def test_report_images_are_not_flipped():
    ramp = torch.linspace(0.3, 0.7, 32).expand(200, 1, 32, 32)
    made = report_augmentation(ramp, draws())
    middle = made[:, 0, 16, 8:24]
    inside = (middle.min(dim=1).values > 0) & (middle.max(dim=1).values < 1)
    assert inside.sum() > 50
    assert (middle[inside].diff(dim=1) > 0).all()


def test_report_padding_scales_with_the_image():
    digits = report_augmentation(torch.full((500, 1, 8, 8), 0.5), draws())
    assert digits.shape == (500, 1, 8, 8)
    shift = digits[:, 0, 4, 4] - 0.5
    padded = (digits[:, 0, :, 4] < (shift + 0.25)[:, None])[shift > 0.01].sum(dim=1)
    assert set(padded.tolist()) == {0, 1}  # padded by 8 / 8 = 1


def test_keras_images_are_shifted_by_up_to_a_tenth_and_half_are_flipped():
    ramp = torch.arange(32.0).expand(4000, 1, 32, 32)
    made = keras_resnet_augmentation(ramp, draws())[:, 0, 16]
    rising = made[:, 20] > made[:, 12]
    assert abs(rising.float().mean() - 0.5) < 0.03
    shift = torch.where(rising, made[:, 16] - 16, made[:, 16] - 15)  # flipped, column 16 shows column 15
    assert -3.2 - 1e-4 <= shift.min() < -3.1
    assert 3.1 < shift.max() <= 3.2 + 1e-4
    assert (shift - shift.round()).abs().max() > 0.4  # fractions of a pixel
    # beyond the edge the edge's value goes on
    assert made.min() == 0
    assert made.max() == 31


def test_keras_rows_and_columns_move_independently():
    image = (torch.arange(32.0)[:, None] * 100 + torch.arange(32.0)).expand(2000, 1, 32, 32)
    made = keras_resnet_augmentation(image, draws())[:, 0]
    down = (made[:, 17, 16] + made[:, 16, 16]) / 200 - 16.5
    right = (made[:, 16, 16] % 100) - 15.5
    assert abs(torch.corrcoef(torch.stack([down, right]))[0, 1]) < 0.1


def test_no_shift_and_no_flip_leave_the_image(monkeypatch):
    monkeypatch.setattr(torch, "rand", lambda shape, **_: torch.full(shape, 0.5))
    assert torch.allclose(keras_resnet_augmentation(IMAGES, draws()), IMAGES)
