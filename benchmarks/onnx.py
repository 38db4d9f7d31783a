"""What ONNX Runtime needs for a frame of new lips against PyTorch, how far apart the two are, and how long the export takes.

    python -m benchmarks.onnx LIPS            prints, and writes benchmarks/results/onnx.json

One frame a call, memory handed on; one stage after the other, PyTorch and ONNX Runtime in turns, on one thread and on two. The
best of the rounds is what others on the machine disturb least.
"""

import argparse
import json
import time
from pathlib import Path
from statistics import median

import numpy as np
import onnxruntime
import torch

from benchmarks.machine import machine
from likeness.methods.hyperlips import load_lips
from likeness.nn.hyper import onnx
from likeness.nn.hyper.lipnet import LipNet
from likeness.nn.hyper.settings import SHAPE, SIDE

RESULTS = Path(__file__).parent / "results" / "onnx.json"
ROUNDS = 60


def example(net: LipNet) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """What both stages are given of a frame."""
    draw = torch.Generator().manual_seed(0)
    crop, reference = (torch.rand(1, 3, net.size, net.size, generator=draw) for _ in range(2))
    small, smaller = (torch.nn.functional.interpolate(x, size=(SIDE, SIDE), mode="area") for x in (crop, reference))
    first = {"crop": small, "reference": smaller, "sound": torch.rand(1, net.settings.columns, 20, generator=draw)}
    first |= {"shape": torch.randn(1, SHAPE, generator=draw), "sketch": torch.rand(1, 3, SIDE, SIDE, generator=draw)}
    return first, {"base": small, "sketch": first["sketch"], "reference": reference, "crop": crop}


def opened(content: bytes, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


@torch.inference_mode()
def timed(net: LipNet, files: onnx.Exported, threads: int) -> dict[str, object]:
    """Milliseconds a frame."""
    torch.set_num_threads(threads)
    made: dict[str, object] = {}
    for stage, module, content, given in zip(
        ("base", "detail"), (onnx.Step(net).eval(), onnx.Detail(net).eval()), (files.base, files.detail), example(net)
    ):
        session = opened(content, threads)
        feeds = {name: value.numpy() for name, value in given.items()}
        shapes = {one.name: one.shape for one in session.get_inputs()}
        memory = tuple(torch.zeros(shape) for name, shape in shapes.items() if name.startswith("memory_"))
        held = [part.numpy() for part in memory]
        spent: dict[str, list[float]] = {"torch": [], "onnxruntime": []}
        apart = 0.0
        for _ in range(ROUNDS):
            began = time.perf_counter()
            out = module(*given.values(), *memory)
            between = time.perf_counter()
            found = session.run(None, {**feeds, **{f"memory_{i}": part for i, part in enumerate(held)}})
            ended = time.perf_counter()
            spent["torch"].append(1e3 * (between - began))
            spent["onnxruntime"].append(1e3 * (ended - between))
            wanted = out if isinstance(out, tuple) else (out,)
            memory, held = wanted[1:], found[1:]
            apart = max(apart, *(float(np.abs(a - b.numpy()).max()) for a, b in zip(found, wanted, strict=True)))
        figures: dict[str, object] = {
            f"{name}_{what}_ms": round(of(times), 2)
            for name, times in spent.items()
            for what, of in (("best", min), ("median", median))
        }
        figures["ratio_best"] = round(min(spent["torch"]) / min(spent["onnxruntime"]), 2)
        figures["ratio_median"] = round(median(spent["torch"]) / median(spent["onnxruntime"]), 2)
        made[stage] = figures | {f"apart_after_{ROUNDS}_frames": apart}
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lips", type=Path)
    net = load_lips(parser.parse_args().lips).net
    found: dict[str, object] = {
        "machine": machine(),
        "onnxruntime": onnxruntime.__version__,
        "preset": onnx.describe(net, 1)["preset"],
    }
    began = time.perf_counter()
    files = onnx.export(net)
    found |= {"export_s": round(time.perf_counter() - began, 1), "export_apart": files.apart}
    found |= {"bytes": {"base": len(files.base), "detail": len(files.detail)}}
    found |= {f"threads_{threads}": timed(net, files, threads) for threads in (1, 2)}
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
