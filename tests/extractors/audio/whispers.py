"""A tiny random Whisper, as CTranslate2 keeps it."""

import struct

import numpy as np

# A window of one second.
POSITIONS, WIDTH, LAYERS = 50, 16, 4


# As CTranslate2's converter writes it.
TYPES = {"float32": 0, "int8": 1, "int16": 2, "int32": 3, "float16": 4}


def string(text):
    return struct.pack("<H", len(text) + 1) + text.encode() + b"\0"


def variable(name, values):
    head = string(name) + struct.pack("<B", values.ndim) + struct.pack(f"<{values.ndim}I", *values.shape)
    return head + struct.pack("<BI", TYPES[values.dtype.name], values.nbytes) + values.tobytes()


def file_of(variables, aliases=(), version=6, spec="WhisperSpec"):
    out = struct.pack("<I", version) + string(spec) + struct.pack("<II", 3, len(variables))
    out += b"".join(variable(*item) for item in variables.items())
    return out + struct.pack("<I", len(aliases)) + b"".join(string(a) + string(b) for a, b in aliases)


def converted(model, kind="float32"):
    state = {name: values.numpy().astype(kind) for name, values in model.encoder.state_dict().items()}
    out = {
        "decoder/activation": np.array(3, np.int8),
        "encoder/num_heads": np.array(2, np.int16),
        "encoder/position_encodings/encodings": state["embed_positions.weight"],
    }

    def put(theirs, ours, norm=False):
        out[f"encoder/{theirs}/{'gamma' if norm else 'weight'}"] = state[f"{ours}.weight"]
        out[f"encoder/{theirs}/{'beta' if norm else 'bias'}"] = state[f"{ours}.bias"]

    put("conv1", "conv1")
    put("conv2", "conv2")
    put("layer_norm", "layer_norm", norm=True)
    for n in range(LAYERS):
        here = f"layers.{n}"
        state[f"{here}.self_attn.k_proj.bias"] = np.zeros(WIDTH, kind)
        for what in ("weight", "bias"):
            parts = [state[f"{here}.self_attn.{letter}_proj.{what}"] for letter in "qkv"]
            out[f"encoder/layer_{n}/self_attention/linear_0/{what}"] = np.concatenate(parts)
        put(f"layer_{n}/self_attention/linear_1", f"{here}.self_attn.out_proj")
        put(f"layer_{n}/self_attention/layer_norm", f"{here}.self_attn_layer_norm", norm=True)
        put(f"layer_{n}/ffn/layer_norm", f"{here}.final_layer_norm", norm=True)
        put(f"layer_{n}/ffn/linear_0", f"{here}.fc1")
        put(f"layer_{n}/ffn/linear_1", f"{here}.fc2")
    return out
