"""Where an encoder learns: the devices and precision that there are, and how tensors come there."""

from typing import Any

import torch
from torch import Tensor

from erc_kedro.parameters import FinetuneParameters


def accelerator(parameters: FinetuneParameters) -> Any:
    """Accelerate's, for all GPUs that this process is to use, or the CPU.

    Raises:
        ValueError: the hardware has no such precision.
    """
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState
    from accelerate.utils import DistributedDataParallelKwargs

    if not torch.cuda.is_available() and parameters.precision == "fp16":
        raise ValueError("finetune.precision: fp16 needs a GPU; write auto")
    # An earlier encoder of this process may have had another precision.
    AcceleratorState._reset_state()
    # A pooler that an encoder brings is not used.
    unused = DistributedDataParallelKwargs(find_unused_parameters=True)
    return Accelerator(
        mixed_precision=_precision(parameters),
        gradient_accumulation_steps=parameters.accumulate,
        cpu=not torch.cuda.is_available(),
        kwargs_handlers=[unused],
    )


def _precision(parameters: FinetuneParameters) -> str:
    if parameters.precision != "auto":
        return parameters.precision
    if torch.cuda.is_available():
        has = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        # Emulated elsewhere, it is slower than full precision.
        has = any(torch.cpu.get_capabilities().get(name) for name in ("avx512_bf16", "amx_bf16"))
    return "bf16" if has else "no"


def from_main(value: Any, accelerator: Any) -> Any:
    """The main process's value, in every process."""
    from accelerate.utils import broadcast_object_list

    return broadcast_object_list([value])[0] if accelerator.num_processes > 1 else value


def on_device(device: Any, tensors: tuple[dict[str, Tensor], Tensor, Tensor]) -> Any:
    """Tokens, what is read of them, and labels on the device; does not wait for it."""
    tokens, read, labels = tensors
    return (
        {name: _moved(value, device) for name, value in tokens.items()},
        _moved(read, device),
        _moved(labels, device),
    )


def _moved(value: Tensor, device: Any) -> Tensor:
    if device.type != "cuda":
        return value.to(device)
    # Only from pinned memory does a copy not wait for what the device is doing.
    return value.pin_memory().to(device, non_blocking=True)
