import torch

from tests.pbe.conftest import BatchMaker


def test_taking_samples_keeps_their_rows_of_every_array(make_batch: BatchMaker) -> None:
    sources = torch.arange(3.0).view(3, 1, 1, 1).expand(3, 3, 2, 2)
    batch = make_batch(masked_sources=sources)
    taken = batch.take(torch.tensor([True, False, True]))
    assert taken.keys == [batch.keys[0], batch.keys[2]]
    assert taken.ordinals.tolist() == [0, 2]
    for name, value in vars(batch).items():
        if name != "keys":
            assert torch.equal(getattr(taken, name), value[[0, 2]]), name


def test_a_batch_moves_with_all_its_tensors(make_batch: BatchMaker) -> None:
    moved = make_batch().to("meta")
    assert moved.masked_sources is None and moved.keys == make_batch().keys
    assert {value.device.type for value in vars(moved).values() if isinstance(value, torch.Tensor)} == {"meta"}
