import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbe.feed.order import Order, Places, Position, StoredOrder, check_world, own_slots
from pipeline.errors import InputError


@st.composite
def orders(draw: st.DrawFn) -> Order:
    """Any order with a full batch in each epoch: shards of 1 to 9 samples, some lanes, some block."""
    lanes = draw(st.integers(1, 6))
    batch = lanes * draw(st.integers(1, 4))
    counts = draw(st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=12), min_size=1, max_size=3))
    counts = [count + [batch] * (sum(count) < batch) for count in counts]
    return Order(counts, batch=batch, lanes=lanes, block=draw(st.integers(1, 11)), seed=draw(st.integers(0, 9)))


def samples(places: Places) -> list[tuple[int, int, int]]:
    return [(places.draw, shard, row) for shard, row in zip(places.shards, places.rows, strict=True)]


def epoch_of(order: Order, epoch: int) -> list[list[tuple[int, int, int]]]:
    """All global batches of an epoch."""
    every = np.arange(order.batch)
    return [samples(order.places(Position(epoch, step), every)) for step in range(order.count(epoch).steps)]


@given(orders(), st.integers(0, 5))
def test_an_epoch_takes_each_sample_of_its_draw_at_most_once_and_drops_less_than_a_batch(
    order: Order, epoch: int
) -> None:
    taken = [sample for batch in epoch_of(order, epoch) for sample in batch]
    count = order.count(epoch)
    stored = {(count.draw, s, row) for s, n in enumerate(order.counts[count.draw]) for row in range(n)}
    assert count.draw == epoch % order.draws
    assert len(set(taken)) == len(taken) == count.samples - count.dropped
    assert set(taken) <= stored and len(stored) == count.samples
    assert count.dropped < order.batch


@given(orders(), st.integers(0, 3))
def test_blocks_hold_neighbours_and_say_when_they_are_last_used(order: Order, epoch: int) -> None:
    every = np.arange(order.batch)
    last_used: dict[tuple[int, int], int] = {}
    until: dict[tuple[int, int], int] = {}
    for step in range(order.count(epoch).steps):
        places = order.places(Position(epoch, step), every)
        assert (places.firsts <= places.rows).all() and (places.rows < places.stops).all()
        assert (places.stops - places.firsts <= order.block).all()
        for shard, first, end in zip(places.shards, places.firsts, places.until, strict=True):
            last_used[shard, first], until[shard, first] = step, end
    assert all(last_used[block] <= until[block] for block in until)


@given(orders(), st.integers(0, 3), st.data())
def test_all_ranks_together_give_the_global_batch_whatever_the_world_size_and_accumulation(
    order: Order, epoch: int, data: st.DataObject
) -> None:
    world = data.draw(st.sampled_from([n for n in range(1, order.lanes + 1) if order.lanes % n == 0]))
    each = order.batch // world
    accumulation = data.draw(st.sampled_from([n for n in range(1, each + 1) if each % n == 0]))
    check_world(world, lanes=order.lanes)
    step = data.draw(st.integers(0, order.count(epoch).steps - 1))
    whole = epoch_of(order, epoch)[step]
    dealt = [own_slots(order.batch, rank=rank, world=world, accumulation=accumulation) for rank in range(world)]
    for micro in range(accumulation):
        slots = np.sort(np.concatenate([parts[micro] for parts in dealt]))
        part = order.batch // accumulation
        assert slots.tolist() == list(range(micro * part, (micro + 1) * part))
    for parts in dealt:
        slots = np.concatenate(parts)
        assert samples(order.places(Position(epoch, step), slots)) == [whole[slot] for slot in slots]


@given(orders(), st.integers(0, 60))
def test_steps_and_positions_are_two_names_of_one_thing(order: Order, steps: int) -> None:
    position = order.position(steps)
    assert order.steps_before(position) == steps
    assert 0 <= position.step < order.count(position.epoch).steps
    assert sum(order.count(epoch).steps for epoch in range(position.epoch)) + position.step == steps
    numbers = order.ordinals(position, np.arange(order.batch))
    assert numbers.tolist() == list(range(steps * order.batch, (steps + 1) * order.batch))


@given(orders())
def test_the_order_depends_on_seed_and_epoch(order: Order) -> None:
    same = Order(order.counts, batch=order.batch, lanes=order.lanes, block=order.block, seed=order.seed)
    assert epoch_of(same, 0) == epoch_of(order, 0)


def test_another_seed_or_epoch_gives_another_order_within_blocks_and_of_shards() -> None:
    def first(seed: int, epoch: int) -> list[list[tuple[int, int, int]]]:
        return epoch_of(Order([[20] * 10], batch=4, lanes=2, block=16, seed=seed), epoch)

    assert len({str(first(seed, epoch)) for seed in range(2) for epoch in range(2)}) == 4


@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=9),
    st.integers(1, 8),
    st.integers(1, 9),
    st.integers(0, 90),
    st.integers(1, 4),
)
def test_the_stored_order_gives_every_sample_once_to_any_number_of_ranks(
    counts: list[int], each: int, block: int, limit: int, world: int
) -> None:
    order = StoredOrder(counts, batch=each * world, block=block, limit=limit)
    taken = {}
    for step in range(order.steps):
        for rank in range(world):
            [slots] = own_slots(order.batch, rank=rank, world=world)
            places = order.places(step, slots)
            for slot, shard, row in zip(slots, places.shards, places.rows, strict=True):
                if shard >= 0:
                    taken[step * order.batch + slot] = (int(shard), int(row))
    every = [(shard, row) for shard, count in enumerate(counts) for row in range(count)]
    assert [taken[i] for i in range(len(taken))] == every[: limit or None]


def test_refusals_name_the_numbers() -> None:
    with pytest.raises(InputError, match="draw 1 has 3 samples, fewer than one global batch of 4"):
        Order([[4], [1, 2]], batch=4, lanes=2, block=4, seed=0)
    with pytest.raises(InputError, match=r"3 lanes do not divide the global batch of 8; give one of 1, 2, 4, 8"):
        Order([[9]], batch=8, lanes=3, block=4, seed=0)
    with pytest.raises(InputError, match=r"world size 3 does not divide the 4 lanes; allowed: 1, 2, 4"):
        check_world(3, lanes=4)
    with pytest.raises(InputError, match=r"2 ranks x 3 micro-batches .* batch of 8; .* from 1, 2, 4"):
        own_slots(8, rank=0, world=2, accumulation=3)
    with pytest.raises(InputError, match="give whole numbers from 1"):
        Order([[9]], batch=0, lanes=1, block=1, seed=0)


def test_any_position_of_open_images_with_ten_draws_is_reached_at_once() -> None:
    rng = np.random.default_rng(0)
    counts = [rng.integers(950, 1001, 1900) for _ in range(10)]
    order = Order(counts, batch=1024, lanes=64, block=64, seed=0)
    began = time.process_time()
    for epoch in (0, 9, 1_000_009):
        position = Position(epoch, order.count(epoch).steps - 1)
        places = order.places(position, np.arange(1024))
        assert (places.shards >= 0).all()
        assert order.position(order.steps_before(position)) == position
    assert time.process_time() - began < 1
