from pipeline.rng import rng_for, seed_for


def test_the_same_key_gives_the_same_numbers_on_any_machine() -> None:
    assert rng_for(0, "draw", "abc", 1, 2).integers(2**32) == rng_for(0, "draw", "abc", 1, 2).integers(2**32)
    assert seed_for(0, "draw", "abc", 1, 2) == 0x2F3DB04AE05E27761C131CC36108F00


def test_keys_that_read_alike_are_different_keys() -> None:
    keys = [("draw", "a", 1), ("draw", "a", "1"), ("draw", "a1"), ("draw", "a", 11), ("drawa", 1)]
    assert len({seed_for(0, stage, *key) for stage, *key in keys}) == len(keys)
    assert seed_for(0, "draw", "a") != seed_for(1, "draw", "a")
