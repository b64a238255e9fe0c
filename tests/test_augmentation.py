"""The four transformations, as the group that they are."""

import itertools

import numpy as np

from fesemlib.network.augmentation import GROUPS, TRANSFORMATIONS, augment

IMAGES = np.arange(2 * 3 * 4, dtype=np.float32).reshape(2, 3, 4)


def test_four_different_images_for_each():
    augmented = augment(IMAGES)
    assert augmented.shape == (8, 3, 4)
    assert len({image.tobytes() for image in augmented}) == 8
    assert np.array_equal(augmented[:2], IMAGES)


def test_what_flips_and_rotation_do_to_a_corner():
    image = IMAGES[0]
    corners = {name: transform(image)[0, 0] for name, transform in TRANSFORMATIONS.items()}
    assert corners == {
        "original": image[0, 0],
        "vertical flip": image[-1, 0],  # top and bottom change places
        "horizontal flip": image[0, -1],  # left and right change places
        "180° rotation": image[-1, -1],
    }
    assert np.array_equal(TRANSFORMATIONS["180° rotation"](image), np.rot90(image, 2))


def test_any_two_in_sequence_are_one_of_the_four():
    all_four = {augmented.tobytes() for augmented in augment(IMAGES[:1])}
    for first, second in itertools.product(TRANSFORMATIONS.values(), repeat=2):
        assert np.ascontiguousarray(second(first(IMAGES[0]))).tobytes() in all_four


def test_each_group_is_closed_and_holds_the_original():
    for names in GROUPS.values():
        assert names[0] == "original"
        members = {image.tobytes() for image in augment(IMAGES[:1], names)}
        assert len(members) == len(names)
        for first, second in itertools.product(names, repeat=2):
            both = TRANSFORMATIONS[second](TRANSFORMATIONS[first](IMAGES[:1]))
            assert np.ascontiguousarray(both).tobytes() in members


def test_of_a_group_only_its_transformations_are_applied():
    expected = np.concatenate([IMAGES, IMAGES[..., ::-1]])
    assert np.array_equal(augment(IMAGES, GROUPS["horizontal_flip"]), expected)
