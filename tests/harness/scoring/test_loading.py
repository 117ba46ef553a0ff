import pytest
import torch
from cdr_eval.errors import UserError
from cdr_eval.harness.scoring.load_options import load_options


@pytest.mark.parametrize("device", ["cpu:x", "cuda:99", "tpu", ""])
def test_a_device_that_is_not_there_is_refused_with_those_that_are(device: str):
    with pytest.raises(UserError, match=f"no device '{device}'; use --device cpu"):
        load_options(device, "auto", False, False)


def test_auto_takes_a_device_that_works_and_float32_on_a_cpu():
    chosen = load_options("auto", "auto", False, False)
    torch.ones(2, device=chosen.device)
    assert load_options("cpu", "auto", False, False).dtype == "float32"
