//! ffmpeg as a child process: the only place where pictures are decoded.

use std::io::{self, Read, Write as _};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};

use crate::error::ExportError;
use crate::plan::{CameraPlan, Episode, Plan};
use crate::source::coded_frames;
use crate::stats::Stats;

/// lerobot takes the statistics of pictures from ones of about this size, pixels on the longer side.
const SMALL: u32 = 150;

/// Statistics of pictures, of each camera: its key frames as a stream.
pub(crate) fn statistics(
    ffmpeg: &Path,
    cameras: &[CameraPlan],
    streams: &[Vec<u8>],
) -> Result<Vec<Stats>, ExportError> {
    std::thread::scope(|scope| {
        let running: Vec<_> = cameras
            .iter()
            .zip(streams)
            .map(|(camera, stream)| scope.spawn(|| statistics_of(ffmpeg, camera, stream)))
            .collect();
        running
            .into_iter()
            .map(|one| one.join().map_err(|_| ExportError::Ffmpeg("its reader ended early".to_owned()))?)
            .collect()
    })
}

fn statistics_of(ffmpeg: &Path, camera: &CameraPlan, stream: &[u8]) -> Result<Stats, ExportError> {
    let factor = (camera.width.max(camera.height) / SMALL).max(1);
    let (width, height) = ((camera.width / factor).max(1), (camera.height / factor).max(1));
    let filter = format!("scale={width}:{height}:flags=neighbor");
    let arguments = ["-f", "h264", "-i", "pipe:0", "-vf", &filter, "-pix_fmt", "rgb24", "-f", "rawvideo"];
    let mut pixels = Vec::new();
    let feed = |mut stdin: ChildStdin| {
        stdin
            .write_all(stream)
            .map_err(|error| ExportError::Ffmpeg(format!("it takes no more frames: {error}")))
    };
    run(ffmpeg, &arguments, feed, |mut stdout| {
        stdout.read_to_end(&mut pixels).map(|_| ()).map_err(|error| unreadable(&error))
    })?;
    let size = (width * height * 3) as usize;
    if pixels.is_empty() || pixels.len() % size != 0 {
        let (camera, got) = (&camera.name, pixels.len());
        return Err(ExportError::Ffmpeg(format!(
            "the key frames of camera {camera} gave {got} bytes, expected a multiple of {size}"
        )));
    }
    let values: Vec<f64> = pixels.iter().map(|value| f64::from(*value) / 255.0).collect();
    Ok(Stats::of(&values, 3, (pixels.len() / size) as u64))
}

/// What a picture is decoded to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    /// Red, green, blue of this width and height.
    Rgb { width: u32, height: u32 },
    /// As it was coded: 4:2:0.
    Yuv,
}

/// Decodes what each slot of an episode shows, in order.
pub(crate) fn decode(
    plan: &Plan,
    episode: &Episode,
    camera: &CameraPlan,
    target: Target,
    mut take: impl FnMut(&[u8]) -> Result<(), ExportError>,
) -> Result<(), ExportError> {
    let (filter, pixels, size) = match target {
        Target::Rgb { width, height } => {
            (format!("scale={width}:{height}:flags=area"), "rgb24", (width * height * 3) as usize)
        }
        Target::Yuv => {
            let chroma = camera.width.div_ceil(2) * camera.height.div_ceil(2);
            ("null".to_owned(), "yuv420p", (camera.width * camera.height + 2 * chroma) as usize)
        }
    };
    let input = ["-f", "h264", "-i", "pipe:0", "-vf", &filter, "-pix_fmt", pixels, "-f", "rawvideo"];
    let mut slots = camera.shown.iter().peekable();
    let mut number = 0;
    let mut picture = vec![0; size];
    let feed = |mut stdin: ChildStdin| {
        coded_frames(plan, episode, &[camera], |_, _, data| {
            stdin
                .write_all(data)
                .map_err(|error| ExportError::Ffmpeg(format!("it takes no more frames: {error}")))
        })
    };
    run(&plan.options.ffmpeg, &input, feed, |mut stdout| {
        while read_whole(&mut stdout, &mut picture)? {
            while slots.next_if(|shown| shown.frame() == number).is_some() {
                take(&picture)?;
            }
            number += 1;
        }
        Ok(())
    })?;
    if number != camera.frames.len() || slots.peek().is_some() {
        let (name, expected) = (&camera.name, camera.frames.len());
        return Err(ExportError::Ffmpeg(format!("camera {name}: it decoded {number} of {expected} frames")));
    }
    Ok(())
}

/// Codes what each slot of an episode shows, with a key frame at least every `key_every` pictures; Annex B.
pub(crate) fn code_anew(
    plan: &Plan,
    episode: &Episode,
    camera: &CameraPlan,
    key_every: u32,
) -> Result<Vec<u8>, ExportError> {
    let size = format!("{}x{}", camera.width, camera.height);
    let (rate, keys) = (plan.options.fps.to_string(), key_every.to_string());
    let input = ["-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", &size, "-r", &rate, "-i", "pipe:0"];
    // A set number of threads: the result depends on it.
    let coder = [
        "-c:v", "libx264", "-preset", "veryfast", "-crf", "20", "-g", &keys, "-bf", "0", "-pix_fmt",
        "yuv420p",
    ];
    let output = ["-x264-params", "threads=4:repeat-headers=1:aud=1", "-f", "h264"];
    let mut stream = Vec::new();
    let feed = |mut stdin: ChildStdin| {
        decode(plan, episode, camera, Target::Yuv, |picture| {
            stdin
                .write_all(picture)
                .map_err(|error| ExportError::Ffmpeg(format!("it takes no more pictures: {error}")))
        })
    };
    run(&plan.options.ffmpeg, &[&input[..], &coder, &output].concat(), feed, |mut stdout| {
        stdout.read_to_end(&mut stream).map(|_| ()).map_err(|error| unreadable(&error))
    })?;
    Ok(stream)
}

/// Whether there was a whole picture; the end may only come between two.
fn read_whole(from: &mut impl Read, picture: &mut [u8]) -> Result<bool, ExportError> {
    let mut filled = 0;
    while filled < picture.len() {
        match from.read(&mut picture[filled..]) {
            Ok(0) if filled == 0 => return Ok(false),
            Ok(0) => return Err(ExportError::Ffmpeg("its output ends within a picture".to_owned())),
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(unreadable(&error)),
        }
    }
    Ok(true)
}

/// Runs ffmpeg while `feed` gives it its input, on a thread of its own, and `take` takes its output.
fn run(
    ffmpeg: &Path,
    arguments: &[&str],
    feed: impl FnOnce(ChildStdin) -> Result<(), ExportError> + Send,
    take: impl FnOnce(ChildStdout) -> Result<(), ExportError>,
) -> Result<(), ExportError> {
    let mut child = Command::new(ffmpeg)
        .args(["-hide_banner", "-loglevel", "error"])
        .args(arguments)
        .args(["-fps_mode", "passthrough", "pipe:1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| missing(ffmpeg, &error))?;
    let pipes = child.stdin.take().zip(child.stdout.take()).zip(child.stderr.take());
    let Some(((stdin, stdout), stderr)) = pipes else {
        return Err(ExportError::Ffmpeg("it has no pipes".to_owned()));
    };
    let (fed, taken, said) = std::thread::scope(|scope| {
        let feeding = scope.spawn(move || feed(stdin));
        let listening = scope.spawn(move || everything(stderr));
        let taken = take(stdout);
        let ended = || Err(ExportError::Ffmpeg("its input ended early".to_owned()));
        (feeding.join().unwrap_or_else(|_| ended()), taken, listening.join().unwrap_or_default())
    });
    let ended = finish(child, &said);
    // What went wrong here comes first: a full disk closes ffmpeg's pipes, and ffmpeg then fails over that.
    let ours = |result: &Result<(), ExportError>| matches!(result, Err(error) if !matches!(error, ExportError::Ffmpeg(_)));
    if ours(&taken) {
        return taken;
    }
    if ours(&fed) {
        return fed;
    }
    // Why ffmpeg ended early is said by itself, and else by whoever fed it.
    ended.and(fed).and(taken)
}

fn finish(mut child: Child, said: &str) -> Result<(), ExportError> {
    let status = child.wait().map_err(|error| ExportError::Ffmpeg(error.to_string()))?;
    if status.success() {
        return Ok(());
    }
    Err(ExportError::Ffmpeg(format!("it ended with {status}: {}", said.trim())))
}

fn everything(mut from: ChildStderr) -> String {
    let mut said = String::new();
    let _ = from.read_to_string(&mut said); // what can be read is enough for an error's text
    said
}

fn unreadable(error: &io::Error) -> ExportError {
    ExportError::Ffmpeg(format!("its output cannot be read: {error}"))
}

fn missing(ffmpeg: &Path, error: &std::io::Error) -> ExportError {
    ExportError::Ffmpeg(format!(
        "cannot start {}: {error}; install it, or do without decoded pictures: \
         --picture-statistics imagenet for LeRobot, --no-images for robomimic",
        ffmpeg.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ends with an error at once, as ffmpeg does whose pipes are closed.
    const FAILS: &str = "false";

    fn full(what: &str) -> ExportError {
        let source = io::Error::from(io::ErrorKind::StorageFull);
        ExportError::Io { action: "write", path: what.into(), source }
    }

    #[test]
    fn a_full_disk_is_told_and_not_that_ffmpeg_ended_over_it() {
        let output = run(Path::new(FAILS), &[], |_| Ok(()), |_| Err(full("pictures")));
        assert!(
            matches!(&output, Err(ExportError::Io { path, .. }) if path.ends_with("pictures")),
            "{output:?}"
        );
        let input = run(Path::new(FAILS), &[], |_| Err(full("bag")), |_| Ok(()));
        assert!(matches!(&input, Err(ExportError::Io { path, .. }) if path.ends_with("bag")), "{input:?}");
    }

    #[test]
    fn why_ffmpeg_failed_is_said_by_itself() {
        let feed = |_| Err(ExportError::Ffmpeg("it takes no more frames: broken pipe".to_owned()));
        let error = run(Path::new(FAILS), &[], feed, |_| Ok(())).unwrap_err();
        assert!(matches!(&error, ExportError::Ffmpeg(text) if text.contains("it ended with")), "{error}");
    }
}
