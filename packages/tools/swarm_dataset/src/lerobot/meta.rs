//! The files under `meta/`, made from the plan and from what the parts noted.

use std::fs::File;
use std::sync::Arc;

use arrow_array::builder::{Float64Builder, ListBuilder, StringBuilder};
use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use serde_json::{Map, Value, json};

use super::{Part, Written, data, key};
use crate::error::{At, ExportError};
use crate::plan::{Kind, Plan, Split};
use crate::report::Report;
use crate::staging::{Staging, write_whole};
use crate::stats::{QUANTILE_NAMES, Stats};

pub(super) fn write(
    plan: &Plan,
    parts: &[Part],
    written: &[Written],
    staging: &Staging,
) -> Result<(), ExportError> {
    let stats = statistics(plan, written);
    let text = |value: &Value| serde_json::to_vec_pretty(value).unwrap_or_default();
    write_whole(&staging.place("meta/info.json")?, &text(&info(plan)))?;
    write_whole(&staging.place("meta/stats.json")?, &text(&all_together(&stats)))?;
    write_whole(&staging.place("meta/export.json")?, &text(&Report::of(plan).to_json()))?;
    tasks(plan, staging)?;
    episodes(plan, parts, &stats, staging)
}

fn info(plan: &Plan) -> Value {
    let fps = plan.options.fps;
    let mut features = Map::new();
    for feature in &plan.features {
        features.insert(
            feature.name.clone(),
            json!({"dtype": dtype(feature.kind), "shape": [feature.names.len()], "names": feature.names}),
        );
    }
    for (name, kind) in data::DEFAULTS {
        features.insert(name.to_owned(), json!({"dtype": dtype(kind), "shape": [1], "names": null}));
    }
    for camera in plan.episodes.iter().take(1).flat_map(|episode| &episode.cameras) {
        let about = json!({
            "dtype": "video",
            "shape": [camera.height, camera.width, 3],
            "names": ["height", "width", "channels"],
            "info": {
                "video.height": camera.height,
                "video.width": camera.width,
                "video.codec": "h264",
                "video.pix_fmt": "yuv420p",
                "video.is_depth_map": false,
                "video.fps": fps,
                "video.channels": 3,
                "has_audio": false,
            },
        });
        features.insert(key(&camera.name), about);
    }
    let episodes = plan.episodes.len();
    let train = plan.episodes.iter().filter(|episode| episode.split == Split::Train).count();
    let mut splits = Map::new();
    splits.insert("train".to_owned(), json!(format!("0:{train}")));
    if train < episodes {
        splits.insert("val".to_owned(), json!(format!("{train}:{episodes}")));
    }
    json!({
        "codebase_version": "v3.0",
        "robot_type": null,
        "total_episodes": episodes,
        "total_frames": plan.episodes.iter().map(|episode| episode.grid.slots).sum::<usize>(),
        "total_tasks": 1,
        "chunks_size": super::FILES_PER_CHUNK,
        "data_files_size_in_mb": super::DATA_FILE >> 20,
        "video_files_size_in_mb": super::VIDEO_FILE >> 20,
        "fps": fps,
        "splits": splits,
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
        "features": features,
    })
}

fn dtype(kind: Kind) -> &'static str {
    match kind {
        Kind::Float => "float32",
        Kind::Integer => "int64",
    }
}

/// Of each episode: features with their statistics, in one order.
type EpisodeStats = Vec<(String, Stats)>;

fn statistics(plan: &Plan, written: &[Written]) -> Vec<EpisodeStats> {
    let mut pictures = written.iter().flat_map(|part| &part.pictures);
    let mut first = 0;
    plan.episodes
        .iter()
        .enumerate()
        .map(|(at, episode)| {
            let slots = episode.grid.slots;
            let features = plan.features.iter().zip(&episode.columns).map(|(feature, values)| {
                (feature.name.clone(), Stats::of(&values.to_f64(), feature.names.len(), slots as u64))
            });
            let defaults = data::defaults(episode, at, first);
            let defaults = data::DEFAULTS.iter().zip(&defaults).map(|((name, _), values)| {
                ((*name).to_owned(), Stats::of(&values.to_f64(), 1, slots as u64))
            });
            first += slots;
            let cameras = episode.cameras.iter().map(|camera| key(&camera.name));
            let cameras = cameras.zip(pictures.next().into_iter().flatten().cloned());
            features.chain(defaults).chain(cameras).collect()
        })
        .collect()
}

/// Names and values of a feature's statistics, as lerobot has them. Of pictures each channel is a plane of one pixel.
fn named(stats: &Stats) -> Vec<(&'static str, &Vec<f64>)> {
    let mut named =
        vec![("min", &stats.min), ("max", &stats.max), ("mean", &stats.mean), ("std", &stats.std)];
    named.extend(QUANTILE_NAMES.into_iter().zip(stats.quantiles.iter().flatten()));
    named
}

fn is_picture(feature: &str) -> bool {
    feature.starts_with("observation.images.")
}

fn all_together(episodes: &[EpisodeStats]) -> Value {
    let mut features = Map::new();
    for (at, (feature, _)) in episodes.iter().take(1).flatten().enumerate() {
        let each: Vec<&Stats> = episodes.iter().map(|episode| &episode[at].1).collect();
        let Some(stats) = Stats::together(&each) else { continue };
        let mut values = Map::new();
        for (name, value) in named(&stats) {
            let planes = || value.iter().map(|value| json!([[value]])).collect::<Vec<_>>();
            values.insert(name.to_owned(), if is_picture(feature) { json!(planes()) } else { json!(value) });
        }
        values.insert("count".to_owned(), json!([stats.count]));
        features.insert(feature.clone(), Value::Object(values));
    }
    Value::Object(features)
}

/// The index of this table are the tasks' texts, which pandas finds by the note in the schema.
fn tasks(plan: &Plan, staging: &Staging) -> Result<(), ExportError> {
    const INDEX: &str = "__index_level_0__";
    let column = |name: Value, field: &str, pandas: &str, numpy: &str| json!({"name": name, "field_name": field, "pandas_type": pandas, "numpy_type": numpy, "metadata": null});
    let pandas = json!({
        "index_columns": [INDEX],
        "column_indexes": [{
            "name": null, "field_name": null, "pandas_type": "unicode", "numpy_type": "object",
            "metadata": {"encoding": "UTF-8"},
        }],
        "columns": [
            column(json!("task_index"), "task_index", "int64", "int64"),
            column(Value::Null, INDEX, "unicode", "object"),
        ],
        "creator": {"library": "swarm_dataset", "version": ""},
        "pandas_version": "2.0.0",
    });
    let schema = Schema::new(vec![
        Field::new("task_index", DataType::Int64, true),
        Field::new(INDEX, DataType::Utf8, true),
    ])
    .with_metadata(std::collections::HashMap::from([("pandas".to_owned(), pandas.to_string())]));
    let arrays: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(vec![0])),
        Arc::new(StringArray::from(vec![plan.options.task.as_str()])),
    ];
    table("meta/tasks.parquet", schema, arrays, staging)
}

fn episodes(
    plan: &Plan,
    parts: &[Part],
    stats: &[EpisodeStats],
    staging: &Staging,
) -> Result<(), ExportError> {
    let mut fields: Vec<Field> = Vec::new();
    let mut arrays: Vec<ArrayRef> = Vec::new();
    let mut add = |name: &str, array: ArrayRef| {
        fields.push(Field::new(name, array.data_type().clone(), true));
        arrays.push(array);
    };
    let integers = |values: Vec<usize>| -> ArrayRef {
        Arc::new(values.into_iter().map(|value| (value as u64).cast_signed()).collect::<Int64Array>())
    };
    let lengths: Vec<usize> = plan.episodes.iter().map(|episode| episode.grid.slots).collect();
    let ends: Vec<usize> = lengths
        .iter()
        .scan(0, |end, length| {
            *end += length;
            Some(*end)
        })
        .collect();
    let per_part = |of: fn((usize, usize)) -> usize| -> Vec<usize> {
        parts.iter().flat_map(|part| part.episodes.clone().map(move |_| of(part.numbers()))).collect()
    };
    let mut tasks = ListBuilder::new(StringBuilder::new());
    for _ in &plan.episodes {
        tasks.values().append_value(&plan.options.task);
        tasks.append(true);
    }
    add("episode_index", integers((0..lengths.len()).collect()));
    add("tasks", Arc::new(tasks.finish()));
    add("length", integers(lengths.clone()));
    add("data/chunk_index", integers(per_part(|(chunk, _)| chunk)));
    add("data/file_index", integers(per_part(|(_, file)| file)));
    add(
        "dataset_from_index",
        integers(ends.iter().zip(&lengths).map(|(end, length)| end - length).collect()),
    );
    add("dataset_to_index", integers(ends));
    for (at, camera) in plan.episodes[0].cameras.iter().enumerate() {
        let key = key(&camera.name);
        let places: Vec<_> = parts.iter().flat_map(|part| part.places(plan, at)).collect();
        let seconds = |of: fn(&super::Place) -> f64| -> ArrayRef {
            Arc::new(places.iter().map(of).map(Some).collect::<Float64Array>())
        };
        add(&format!("videos/{key}/chunk_index"), integers(per_part(|(chunk, _)| chunk)));
        add(&format!("videos/{key}/file_index"), integers(per_part(|(_, file)| file)));
        add(&format!("videos/{key}/from_timestamp"), seconds(|place| place.from));
        add(&format!("videos/{key}/to_timestamp"), seconds(|place| place.to));
    }
    for (at, (feature, first)) in stats[0].iter().enumerate() {
        for (number, (name, _)) in named(first).iter().enumerate() {
            let values = stats.iter().map(|episode| named(&episode[at].1)[number].1.as_slice());
            let array = if is_picture(feature) { planes(values) } else { lists(values) };
            add(&format!("stats/{feature}/{name}"), array);
        }
        let counts: Vec<Vec<f64>> = stats.iter().map(|episode| vec![episode[at].1.count as f64]).collect();
        let counts = arrow_array::ListArray::from_iter_primitive::<arrow_array::types::Int64Type, _, _>(
            counts.iter().map(|count| Some(count.iter().map(|count| Some(*count as i64)))),
        );
        add(&format!("stats/{feature}/count"), Arc::new(counts));
    }
    add("meta/episodes/chunk_index", integers(vec![0; lengths.len()]));
    add("meta/episodes/file_index", integers(vec![0; lengths.len()]));
    table("meta/episodes/chunk-000/file-000.parquet", Schema::new(fields), arrays, staging)
}

fn lists<'a>(rows: impl Iterator<Item = &'a [f64]>) -> ArrayRef {
    let mut builder = ListBuilder::new(Float64Builder::new());
    for row in rows {
        builder.values().append_slice(row);
        builder.append(true);
    }
    Arc::new(builder.finish())
}

/// Each value in two lists of its own: a channel of one pixel's height and width.
fn planes<'a>(rows: impl Iterator<Item = &'a [f64]>) -> ArrayRef {
    let rows: Vec<&[f64]> = rows.collect();
    let flat: Vec<f64> = rows.concat();
    let nest = |inner: ArrayRef, lengths: Vec<usize>| -> ArrayRef {
        let field = Arc::new(Field::new_list_field(inner.data_type().clone(), true));
        Arc::new(arrow_array::ListArray::new(field, OffsetBuffer::from_lengths(lengths), inner, None))
    };
    let ones = vec![1; flat.len()];
    let lengths = rows.iter().map(|row| row.len()).collect();
    nest(nest(nest(Arc::new(Float64Array::from(flat)), ones.clone()), ones), lengths)
}

fn table(name: &str, schema: Schema, arrays: Vec<ArrayRef>, staging: &Staging) -> Result<(), ExportError> {
    let path = staging.place(name)?;
    let failed = |problem: &dyn std::fmt::Display| ExportError::Encode {
        path: path.clone(),
        problem: problem.to_string(),
    };
    let schema = Arc::new(schema);
    let metadata = schema.metadata.iter();
    let notes =
        metadata.map(|(key, value)| parquet::file::metadata::KeyValue::new(key.clone(), value.clone()));
    let notes: Vec<_> = notes.collect();
    let batch = RecordBatch::try_new(schema.clone(), arrays).map_err(|error| failed(&error))?;
    let file = File::create(&path).at("create", &path)?;
    let properties = data::properties().into_builder().set_key_value_metadata(Some(notes)).build();
    let mut writer = ArrowWriter::try_new(file, schema, Some(properties)).map_err(|error| failed(&error))?;
    writer.write(&batch).map_err(|error| failed(&error))?;
    let file = writer.into_inner().map_err(|error| failed(&error))?;
    file.sync_all().at("sync", &path)
}
