//! Rows of slots as Parquet, a row group per episode.

use std::fs::File;
use std::sync::Arc;

use arrow_array::{ArrayRef, FixedSizeListArray, Float32Array, Int64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;

use super::Part;
use crate::error::{At, ExportError};
use crate::plan::{Episode, Feature, Kind, Plan, Values};
use crate::staging::Staging;

/// lerobot's own columns, behind those of the features.
pub(super) const DEFAULTS: [(&str, Kind); 5] = [
    ("timestamp", Kind::Float),
    ("frame_index", Kind::Integer),
    ("episode_index", Kind::Integer),
    ("index", Kind::Integer),
    ("task_index", Kind::Integer),
];

pub(super) fn write(plan: &Plan, part: &Part, staging: &Staging) -> Result<(), ExportError> {
    let path = staging.place(&part.file("data", "parquet"))?;
    let file = File::create(&path).at("create", &path)?;
    let failed = |problem: &dyn std::fmt::Display| ExportError::Encode {
        path: path.clone(),
        problem: problem.to_string(),
    };
    let schema = schema(&plan.features);
    let mut writer =
        ArrowWriter::try_new(file, schema.clone(), Some(properties())).map_err(|error| failed(&error))?;
    let mut first: usize =
        plan.episodes[..part.episodes.start].iter().map(|episode| episode.grid.slots).sum();
    for at in part.episodes.clone() {
        let episode = &plan.episodes[at];
        let mut arrays: Vec<ArrayRef> = Vec::new();
        for (feature, values) in plan.features.iter().zip(&episode.columns) {
            arrays.push(array(values, feature.names.len()).map_err(|error| failed(&error))?);
        }
        for values in defaults(episode, at, first) {
            arrays.push(array(&values, 1).map_err(|error| failed(&error))?);
        }
        let batch = RecordBatch::try_new(schema.clone(), arrays).map_err(|error| failed(&error))?;
        writer.write(&batch).and_then(|()| writer.flush()).map_err(|error| failed(&error))?;
        first += episode.grid.slots;
    }
    let file = writer.into_inner().map_err(|error| failed(&error))?;
    file.sync_all().at("sync", &path)
}

/// Values of [`DEFAULTS`] for an episode whose first row in the dataset is `first`.
pub(super) fn defaults(episode: &Episode, at: usize, first: usize) -> [Values; 5] {
    let slots = episode.grid.slots;
    let fps = f64::from(episode.grid.fps);
    let integers = |of: &dyn Fn(usize) -> usize| {
        Values::Integer((0..slots).map(|slot| (of(slot) as u64).cast_signed()).collect())
    };
    [
        Values::Float((0..slots).map(|slot| (slot as f64 / fps) as f32).collect()),
        integers(&|slot| slot),
        integers(&|_| at),
        integers(&|slot| first + slot),
        integers(&|_| 0),
    ]
}

/// The same in every run: no version and no time in it.
pub(super) fn properties() -> WriterProperties {
    WriterProperties::builder()
        .set_created_by("swarm_dataset".to_owned())
        .set_compression(Compression::SNAPPY)
        .build()
}

fn schema(features: &[Feature]) -> Arc<Schema> {
    let field = |name: &str, kind: Kind, width: usize| {
        let item = match kind {
            Kind::Float => DataType::Float32,
            Kind::Integer => DataType::Int64,
        };
        // A feature of one dimension is a plain column to lerobot.
        let whole = match width {
            1 => item,
            _ => DataType::FixedSizeList(
                Arc::new(Field::new("element", item, true)),
                (width as u32).cast_signed(),
            ),
        };
        Field::new(name, whole, true)
    };
    let own = features.iter().map(|feature| field(&feature.name, feature.kind, feature.names.len()));
    let defaults = DEFAULTS.iter().map(|(name, kind)| field(name, *kind, 1));
    Arc::new(Schema::new(own.chain(defaults).collect::<Vec<_>>()))
}

fn array(values: &Values, width: usize) -> Result<ArrayRef, arrow_schema::ArrowError> {
    let (flat, item): (ArrayRef, DataType) = match values {
        Values::Float(values) => (Arc::new(Float32Array::from(values.clone())), DataType::Float32),
        Values::Integer(values) => (Arc::new(Int64Array::from(values.clone())), DataType::Int64),
    };
    if width == 1 {
        return Ok(flat);
    }
    let item = Arc::new(Field::new("element", item, true));
    Ok(Arc::new(FixedSizeListArray::try_new(item, (width as u32).cast_signed(), flat, None)?))
}
