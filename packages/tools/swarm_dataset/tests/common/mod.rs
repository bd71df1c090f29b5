//! What the tests share: streams from `data`, recordings of them, and exports with plain options.

use std::fs;
use std::path::{Path, PathBuf};

use swarm_dataset::synthetic::{Camera, Recording, Stream};
use swarm_dataset::{ExportError, Options, PictureStatistics, Plan};

/// One of the streams in `data`, see `make.sh` there.
pub(crate) fn stream(name: &str) -> Stream {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name).with_extension("h264");
    Stream::from_annex_b(&fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

/// Four cameras of a cell, which are none of them alike: phases, rates, streams.
pub(crate) fn four_cameras() -> Recording {
    let mut cameras: Vec<Camera> =
        [("front", "high"), ("left", "baseline"), ("right", "order0"), ("wrist", "high")]
            .map(|(name, file)| Camera::new(name, &stream(file)))
            .into();
    cameras[0].phase = 0.010;
    cameras[1].phase = 0.004;
    cameras[2].phase = 0.017;
    cameras[3].phase = 0.025;
    Recording::new(cameras)
}

/// One camera.
pub(crate) fn one_camera(file: &str) -> Recording {
    Recording::new(vec![Camera::new("front", &stream(file))])
}

/// Options that need no other program.
pub(crate) fn options() -> Options {
    Options {
        task: "insert the peg".to_owned(),
        picture_statistics: PictureStatistics::ImageNet,
        ..Options::default()
    }
}

/// Writes the recording as `folder/name` and makes a plan of it.
pub(crate) fn plan(folder: &Path, recording: &Recording, options: &Options) -> Result<Plan, ExportError> {
    let bag = folder.join("demo_001.mcap");
    recording.write(&bag).unwrap();
    make(&[bag], options)
}

pub(crate) fn make(bags: &[PathBuf], options: &Options) -> Result<Plan, ExportError> {
    Plan::make(bags, options, &mut |_, _| {})
}

pub(crate) fn export(plan: &Plan, target: &Path) -> Result<(), ExportError> {
    swarm_dataset::export(plan, target, &mut |_, _| {})
}
