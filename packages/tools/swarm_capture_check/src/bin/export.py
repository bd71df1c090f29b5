"""What the evidence `export` needs of other libraries. Every command prints one JSON value.

encode FILE SECONDS              a 1080p30 stream of 8 Mbit/s with a key frame each second, as a camera gives it; Annex B
check DATASET                    complaints of lerobot-doctor, rows of which every camera's frame was found within 1e-4 s, frames at k / fps
layout HDF5                      what is missing of robomimic's layout
reencode FILE SECONDS            how long it takes to code so much of the stream as lerobot does, s
"""

import json
import random
import sys
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pyarrow.parquet as pq

WIDTH, HEIGHT, RATE = 1920, 1080, 30


def encode(path, seconds):
    # Noise that moves over a gradient: it takes the whole bit rate.
    noise = np.random.default_rng(1).integers(0, 60, (HEIGHT + 64, WIDTH + 64), dtype=np.uint8)
    gradient = np.linspace(0, 180, WIDTH, dtype=np.uint8)[None, :]
    with av.open(path, "w", format="h264") as output:
        video = output.add_stream("libx264", rate=RATE)
        video.width, video.height, video.pix_fmt, video.bit_rate = WIDTH, HEIGHT, "yuv420p", 8_000_000
        video.options = {
            "preset": "ultrafast", "g": str(RATE), "bf": "0", "profile": "main",
            "x264-params": "scenecut=0:repeat-headers=1:nal-hrd=cbr:vbv-maxrate=8000:vbv-bufsize=8000",
        }
        for number in range(int(float(seconds) * RATE)):
            planes = np.full((HEIGHT * 3 // 2, WIDTH), 128, dtype=np.uint8)
            across, down = number % 64, number // 3 % 64
            planes[:HEIGHT] = noise[down : down + HEIGHT, across : across + WIDTH] + gradient
            frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            output.mux(video.encode(frame))
        output.mux(video.encode())
    return Path(path).stat().st_size


def check(dataset):
    from lerobot_doctor.dataset_loader import load_dataset
    from lerobot_doctor.runner import run_checks

    root = Path(dataset)
    info = json.loads((root / "meta/info.json").read_text())
    complaints = [
        f"{result.name}: {message.message}"
        for result in run_checks(load_dataset(dataset), verbose=True).results
        for message in result.messages
        if message.severity.value == "FAIL"
    ]
    keys = [key for key, feature in info["features"].items() if feature["dtype"] == "video"]
    draw, found, on_grid = random.Random(1), 0, 0
    for episode in pq.read_table(root / "meta/episodes/chunk-000/file-000.parquet").to_pylist():
        for key in keys:
            name = info["video_path"].format(
                video_key=key, chunk_index=episode[f"videos/{key}/chunk_index"], file_index=episode[f"videos/{key}/file_index"]
            )
            start = episode[f"videos/{key}/from_timestamp"]
            with av.open(str(root / name)) as container:
                stream = container.streams.video[0]
                times = sorted(float(packet.pts * stream.time_base) for packet in container.demux(stream) if packet.pts is not None)
                own = [at for at in times if start - 1e-4 < at < episode[f"videos/{key}/to_timestamp"] - 1e-4]
                exact = len(own) == episode["length"] and all(abs(at - start - k / info["fps"]) < 1e-4 for k, at in enumerate(own))
                on_grid += episode["length"] if exact else 0
            with av.open(str(root / name)) as container:
                stream = container.streams.video[0]
                for row in draw.sample(range(episode["length"]), min(8, episode["length"])):
                    wanted = start + row / info["fps"]
                    container.seek(int(wanted / stream.time_base), stream=stream, backward=True)
                    for frame in container.decode(video=0):
                        at = float(frame.pts * stream.time_base)
                        if at > wanted - 1e-4:
                            found += abs(at - wanted) < 1e-4
                            break
    asked = sum(min(8, episode["length"]) for episode in pq.read_table(root / "meta/episodes/chunk-000/file-000.parquet").to_pylist())
    return {
        "complaints": complaints,
        "episodes": info["total_episodes"],
        "rows": info["total_frames"],
        "frames_on_grid": on_grid / len(keys),
        "asked": asked * len(keys),
        "found": found,
    }


def layout(path):
    import h5py

    missing = []
    with h5py.File(path, "r") as file:
        total = 0
        for name in file["data"]:
            demo = file["data"][name]
            samples = demo.attrs["num_samples"]
            total += samples
            for key in ["actions", "rewards", "dones", "states", "obs/state", "next_obs/state"]:
                if key not in demo or demo[key].shape[0] != samples:
                    missing.append(f"{name}/{key}")
        if total != file["data"].attrs["total"] or not json.loads(file["data"].attrs["env_args"]):
            missing.append("data's attributes")
        masked = sorted(name.decode() for mask in file["mask"].values() for name in mask[()])
        if masked != sorted(file["data"]):
            missing.append("mask")
    return missing


def reencode(path, seconds):
    wanted = int(float(seconds) * RATE)
    with av.open(path, format="h264") as stream:
        frames = []
        for frame in stream.decode(video=0):
            frames.append(frame.to_ndarray(format="yuv420p"))
            if len(frames) == wanted:
                break
    started = time.monotonic()
    with av.open(str(path) + ".mp4", "w") as output:
        video = output.add_stream("libsvtav1", rate=RATE, options={"g": "2", "crf": "30"})
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number, planes in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            output.mux(video.encode(frame))
        output.mux(video.encode())
    return time.monotonic() - started


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    print(json.dumps({"encode": encode, "check": check, "layout": layout, "reencode": reencode}[command](*arguments)))
