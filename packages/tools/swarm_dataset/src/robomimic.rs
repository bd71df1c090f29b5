//! robomimic's HDF5, as robomimic 0.3 reads it.
//!
//! | path | holds |
//! |---|---|
//! | `data` | attributes `total`, `env_args` (JSON), `export` (JSON: where it comes from, how well it is aligned) |
//! | `data/demo_K` | an episode; attribute `num_samples` |
//! | `actions`, `rewards`, `dones`, `states` | a row per slot; there is no reward but 0, and `dones` is 1 in the last row |
//! | `obs/KEY`, `next_obs/KEY` | states, and pictures as `CAMERA_image` |
//! | `capture/KEY` | what is known of times; not among the observations, so that no policy learns from it |
//! | `mask/train`, `mask/valid` | names of episodes |
//!
//! Flow
//! 1. Each episode's pictures are decoded into files beside the dataset: the units of resuming.
//! 2. The file is put together from them, an episode at a time, so that memory holds one.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use hdf5_pure::{AttrValue, DatasetBuilder, FileBuilder};
use serde_json::json;

use crate::error::{At, ExportError};
use crate::ffmpeg::{Target, decode};
use crate::options::Pictures;
use crate::plan::{Episode, Plan, Split, Values};
use crate::progress::Progress;
use crate::report::Report;
use crate::staging::Staging;

pub(crate) fn write(plan: &Plan, staging: &Staging, progress: &mut Progress<'_>) -> Result<(), ExportError> {
    for (at, episode) in plan.episodes.iter().enumerate() {
        let unit = format!("episode-{at}");
        if staging.noted::<usize>(&unit).is_none() {
            for camera in 0..episode.cameras.len() {
                decode_pictures(plan, episode, camera, &pictures_of(staging, at, camera))?;
            }
            staging.complete(&unit, &episode.grid.slots)?;
        }
        progress.add(episode.grid.slots);
    }
    assemble(plan, staging)
}

/// Where an episode's pictures lie until they are put together.
fn pictures_of(staging: &Staging, episode: usize, camera: usize) -> PathBuf {
    staging.aside(&format!("pictures-{episode}-{camera}"))
}

fn decode_pictures(plan: &Plan, episode: &Episode, camera: usize, path: &Path) -> Result<(), ExportError> {
    let Pictures::Decoded { width, height } = plan.options.pictures else { return Ok(()) };
    let mut file = BufWriter::new(File::create(path).at("create", path)?);
    let camera = &episode.cameras[camera];
    decode(plan, episode, camera, Target::Rgb { width, height }, |picture| {
        file.write_all(picture).at("write", path)
    })?;
    let file = file.into_inner().map_err(std::io::IntoInnerError::into_error).at("write", path)?;
    file.sync_all().at("sync", path)
}

fn assemble(plan: &Plan, staging: &Staging) -> Result<(), ExportError> {
    let path = staging.dataset();
    let failed =
        |error: hdf5_pure::Error| ExportError::Encode { path: path.clone(), problem: error.to_string() };
    if path.exists() {
        fs::remove_file(&path).at("remove", &path)?; // a run that was killed here
    }
    let mut file = FileBuilder::new();
    let mut data = file.create_group("data");
    let slots: usize = plan.episodes.iter().map(|episode| episode.grid.slots).sum();
    data.set_attr("total", AttrValue::I64((slots as u64).cast_signed()));
    // No rollout can be made in it; the type only has to be one that robomimic knows.
    let about = json!({"env_name": "swarm_cell", "env_version": "", "type": 2, "env_kwargs": {}});
    data.set_attr("env_args", AttrValue::String(about.to_string()));
    data.set_attr("export", AttrValue::String(Report::of(plan).to_json().to_string()));
    file.add_group(data.finish());
    let mut mask = file.create_group("mask");
    for (name, split) in [("train", Split::Train), ("valid", Split::Validation)] {
        let demos = plan.episodes.iter().enumerate().filter(|(_, episode)| episode.split == split);
        let demos: Vec<String> = demos.map(|(at, _)| demo(at)).collect();
        let demos: Vec<&str> = demos.iter().map(String::as_str).collect();
        if !demos.is_empty() {
            let strings = mask.create_dataset(name).with_ascii_strings(&demos);
            strings.map_err(|error| failed(hdf5_pure::Error::Format(error)))?;
        }
    }
    file.add_group(mask.finish());
    file.write(&path).map_err(failed)?;
    for (at, episode) in plan.episodes.iter().enumerate() {
        let pictures = episode
            .cameras
            .iter()
            .enumerate()
            .filter(|_| plan.options.pictures != Pictures::LeftOut)
            .map(|(camera, about)| {
                let path = pictures_of(staging, at, camera);
                fs::read(&path).at("read", &path).map(|bytes| (format!("{}_image", about.name), bytes))
            })
            .collect::<Result<Vec<_>, _>>()?;
        add(plan, at, pictures, &path).map_err(failed)?;
    }
    File::open(&path).and_then(|file| file.sync_all()).at("sync", &path)
}

fn demo(at: usize) -> String {
    format!("demo_{at}")
}

/// Adds an episode to the file.
fn add(
    plan: &Plan,
    at: usize,
    pictures: Vec<(String, Vec<u8>)>,
    path: &std::path::Path,
) -> Result<(), hdf5_pure::Error> {
    let episode = &plan.episodes[at];
    let slots = episode.grid.slots;
    let rows = |values: &[f32], width: usize| {
        let (values, shape) = (values.to_vec(), [slots as u64, width as u64]);
        move |dataset: &mut DatasetBuilder| {
            dataset.with_f32_data(&values).with_shape(&shape);
        }
    };
    let file = hdf5_pure::File::open_rw(path)?;
    file.root().create_group_with(&format!("data/{}", demo(at)), |demo| {
        demo.set_attr("num_samples", AttrValue::I64((slots as u64).cast_signed()));
        demo.create_dataset("rewards", |dataset| {
            dataset.with_f32_data(&vec![0.0; slots]);
        });
        demo.create_dataset("dones", |dataset| {
            let dones: Vec<i64> = (0..slots).map(|slot| i64::from(slot + 1 == slots)).collect();
            dataset.with_i64_data(&dones);
        });
        for group in ["obs", "next_obs", "capture"] {
            demo.create_group(group);
        }
        for (feature, values) in plan.features.iter().zip(&episode.columns) {
            let width = feature.names.len();
            let observed = feature.name.strip_prefix("observation.");
            match (feature.name.as_str(), observed, values) {
                ("action", _, Values::Float(values)) => {
                    demo.create_dataset("actions", rows(values, width));
                }
                (_, Some(key), Values::Float(values)) if key != "alignment_error_s" => {
                    if key == "state" {
                        demo.create_dataset("states", rows(values, width));
                    }
                    demo.create_dataset(&format!("obs/{key}"), rows(values, width));
                    demo.create_dataset(&format!("next_obs/{key}"), rows(&next(values, width), width));
                }
                (name, observed, Values::Float(values)) => {
                    let key = observed.unwrap_or(name.trim_start_matches("capture."));
                    demo.create_dataset(&format!("capture/{key}"), rows(values, width));
                }
                (name, _, Values::Integer(values)) => {
                    let key = name.trim_start_matches("capture.");
                    demo.create_dataset(&format!("capture/{key}"), |dataset| {
                        dataset.with_i64_data(values).with_shape(&[slots as u64, width as u64]);
                    });
                }
            }
        }
        if let Pictures::Decoded { width, height } = plan.options.pictures {
            let shape = [slots as u64, u64::from(height), u64::from(width), 3];
            for (key, now) in pictures {
                let then = next(&now, (width * height * 3) as usize);
                for (group, pixels) in [("obs", now), ("next_obs", then)] {
                    demo.create_dataset(&format!("{group}/{key}"), |dataset| {
                        dataset.with_u8_data(&pixels).with_shape(&shape);
                    });
                }
            }
        }
    })?;
    file.commit()?;
    file.close()
}

/// The rows that follow these; the last one follows itself.
fn next<T: Copy>(rows: &[T], width: usize) -> Vec<T> {
    let last = rows.len().saturating_sub(width);
    rows.iter().skip(width).chain(&rows[last..]).copied().collect()
}
