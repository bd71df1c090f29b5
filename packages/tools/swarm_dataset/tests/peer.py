"""Reads datasets as training programs do, with libraries nobody here wrote. Every command prints one JSON value.

doctor DATASET              severity and messages of each of lerobot-doctor's checks
frames MP4                  time, number and digest of every frame that a decoder shows; see data/make.sh for the number
query DATASET CAMERA        what lerobot's loader finds for every row: distance in time, number of the frame
rows DATASET                types and first rows of the tables
stats DATASET               largest difference of stats.json from statistics computed anew
hdf5 FILE                   attributes, and shape, type and a digest of each dataset
"""

import hashlib
import json
import sys
from pathlib import Path

import av
import numpy as np
import pyarrow.parquet as pq


def number(frame):
    luma = frame.to_ndarray(format="gray")
    return sum(1 << bit for bit in range(8) if luma[8, bit * 16 + 8] > 128)


def doctor(dataset):
    from lerobot_doctor.dataset_loader import load_dataset
    from lerobot_doctor.runner import run_checks

    report = run_checks(load_dataset(dataset), verbose=True)
    return [
        [result.name, result.severity.value, [f"{message.severity.value} {message.message}" for message in result.messages]]
        for result in report.results
    ]


def frames(path):
    with av.open(path) as container:
        stream = container.streams.video[0]
        digest = lambda frame: hashlib.sha256(frame.to_ndarray().tobytes()).hexdigest()
        shown = [[float(frame.pts * stream.time_base), number(frame), digest(frame)] for frame in container.decode(video=0)]
        return {"rate": float(stream.average_rate), "codec": stream.codec_context.name, "frames": shown}


def info(dataset):
    return json.loads((Path(dataset) / "meta/info.json").read_text())


def episodes(dataset):
    return pq.read_table(Path(dataset) / "meta/episodes/chunk-000/file-000.parquet").to_pylist()


def data(dataset):
    about = info(dataset)
    for episode in episodes(dataset):
        path = about["data_path"].format(chunk_index=episode["data/chunk_index"], file_index=episode["data/file_index"])
        table = pq.read_table(Path(dataset) / path, filters=[("episode_index", "=", episode["episode_index"])])
        yield episode, table


def query(dataset, camera):
    """As decode_video_frames_torchvision of lerobot 0.4.4: seek to the key frame before, decode, take the nearest."""
    about, key, found = info(dataset), f"observation.images.{camera}", []
    for episode, table in data(dataset):
        path = about["video_path"].format(
            video_key=key, chunk_index=episode[f"videos/{key}/chunk_index"], file_index=episode[f"videos/{key}/file_index"]
        )
        with av.open(str(Path(dataset) / path)) as container:
            stream = container.streams.video[0]
            for timestamp in table["timestamp"].to_pylist()[::7]:
                wanted = episode[f"videos/{key}/from_timestamp"] + timestamp
                container.seek(int(wanted / stream.time_base), stream=stream, backward=True)
                near = []
                for frame in container.decode(video=0):
                    time = float(frame.pts * stream.time_base)
                    near.append((abs(time - wanted), number(frame)))
                    if time >= wanted:
                        break
                found.append(list(min(near)))
    return found


def rows(dataset):
    root, about = Path(dataset), info(dataset)
    tasks = pq.read_table(root / "meta/tasks.parquet")
    pandas = tasks.schema.pandas_metadata
    tables = [table for _, table in data(dataset)]
    return {
        "types": {field.name: str(field.type) for field in tables[0].schema},
        "features": {name: [feature["dtype"], feature["shape"]] for name, feature in about["features"].items()},
        "index": [value for table in tables for value in table["index"].to_pylist()],
        "timestamp": [value for table in tables for value in table["timestamp"].to_pylist()],
        "episode_index": [value for table in tables for value in table["episode_index"].to_pylist()],
        "episodes": [{name: value for name, value in episode.items() if not name.startswith("stats/")} for episode in episodes(dataset)],
        "tasks": tasks.to_pylist(),
        "tasks_index": pandas["index_columns"],
    }


def lerobot_stats(values):
    """get_feature_stats of lerobot 0.4.4 for one episode: a histogram of 5000 bins."""
    result = {"min": values.min(0), "max": values.max(0), "mean": values.mean(0), "std": values.std(0)}
    for quantile in (0.01, 0.10, 0.50, 0.90, 0.99):
        row = []
        for column in values.T:
            edges = np.linspace(column.min() - 1e-10, column.max() + 1e-10, 5001)
            counts, _ = np.histogram(column, bins=edges)
            total, target = np.cumsum(counts), quantile * len(column)
            at = int(np.searchsorted(total, target))
            if at == 0:
                row.append(edges[0])
                continue
            inside = total[at] - total[at - 1]
            part = (target - total[at - 1]) / inside if inside else 0.0
            row.append(edges[at] + part * (edges[at + 1] - edges[at]))
        result[f"q{int(quantile * 100):02d}"] = np.array(row)
    return result


def stats(dataset):
    written = json.loads((Path(dataset) / "meta/stats.json").read_text())
    anew = {}
    for episode, table in data(dataset):
        for name in table.column_names:
            values = np.array(table[name].to_pylist(), dtype=np.float64).reshape(table.num_rows, -1)
            of_episode = lerobot_stats(values)
            for stat, value in of_episode.items():
                in_table = np.array(episode[f"stats/{name}/{stat}"])
                assert np.allclose(in_table, value, rtol=1e-6, atol=1e-6), (name, stat, in_table, value)
            anew.setdefault(name, []).append((table.num_rows, of_episode))
    worst = 0.0
    for name, parts in anew.items():
        counts = np.array([count for count, _ in parts], dtype=np.float64)[:, None]
        stack = {stat: np.stack([of_episode[stat] for _, of_episode in parts]) for stat in parts[0][1]}
        mean = (stack["mean"] * counts).sum(0) / counts.sum()
        spread = ((stack["std"] ** 2 + (stack["mean"] - mean) ** 2) * counts).sum(0) / counts.sum()
        together = {stat: (value * counts).sum(0) / counts.sum() for stat, value in stack.items()}
        together |= {"min": stack["min"].min(0), "max": stack["max"].max(0), "mean": mean, "std": np.sqrt(spread)}
        assert written[name]["count"] == [int(counts.sum())], name
        for stat, value in together.items():
            scale = np.maximum(np.abs(value), 1.0)
            worst = max(worst, float(np.max(np.abs(np.array(written[name][stat]) - value) / scale)))
    pictures = {name: value for name, value in written.items() if name.startswith("observation.images.")}
    shapes = {name: {stat: list(np.array(value).shape) for stat, value in stats.items()} for name, stats in pictures.items()}
    return {"worst": worst, "features": sorted(written), "pictures": pictures, "shapes": shapes}


def hdf5(path):
    import h5py

    found = {}

    def plain(value):
        if isinstance(value, bytes):
            return value.decode()
        return value.item() if isinstance(value, np.generic) else value

    def visit(name, item):
        about = {"attributes": {key: plain(value) for key, value in item.attrs.items()}}
        if isinstance(item, h5py.Dataset):
            values = item[()]
            about |= {"shape": list(item.shape), "dtype": str(item.dtype), "sha256": hashlib.sha256(values.tobytes()).hexdigest()}
            if item.dtype.kind in "SO":
                about["values"] = [plain(value) for value in values]
            elif name.endswith("_image"):
                about["numbers"] = [int(sum(1 << bit for bit in range(8) if frame[8, bit * 16 + 8, 1] > 128)) for frame in values]
            elif values.size < 2000:
                about["values"] = values.tolist()
        found[name] = about

    with h5py.File(path, "r") as file:
        file.visititems(visit)
    return found


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    print(json.dumps({"doctor": doctor, "frames": frames, "query": query, "rows": rows, "stats": stats, "hdf5": hdf5}[command](*arguments)))
