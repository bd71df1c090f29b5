//! Recordings start by start, and every record of one with what holds where it stands.

use anyhow::{Context as _, bail, ensure};
use swarm_base::Time;
use swarm_black_box::{Header, Limits, Record, records};
use swarm_safety_core::Config;

use crate::box_files::{BoxFile, header};

/// Files by the start of the monitor that they are of, oldest first. A file that was made and never begun holds nothing.
pub(crate) fn starts(files: Vec<BoxFile>) -> anyhow::Result<Vec<Vec<BoxFile>>> {
    let mut series: Vec<((u64, u64), Vec<BoxFile>)> = Vec::new();
    for file in files.into_iter().filter(|file| !file.bytes.is_empty()) {
        swarm_black_box::frames(&file.bytes).with_context(|| format!("'{}'", file.path.display()))?;
        let header = header(&file.bytes).with_context(|| {
            format!(
                "'{}' ends or is damaged in its header, so that nothing in it can be read; leave it out, `cell blackbox verify` says more",
                file.path.display()
            )
        })?;
        let start = (header.started_unix_ns, header.first_epoch);
        match series.last_mut().filter(|(known, _)| *known == start) {
            Some((_, files)) => files.push(file),
            None => series.push((start, vec![file])),
        }
    }
    ensure!(!series.is_empty(), "the files are empty: nothing was recorded in them");
    Ok(series.into_iter().map(|(_, files)| files).collect())
}

/// What holds where a record stands.
#[derive(Debug)]
pub(crate) struct Context {
    pub header: Header,
    pub ceiling: Config,
    pub config: Config,
    pub limits: Limits,
    /// Time of the first cycle under these limits; `None` until it comes, and for those that a recording begins with.
    pub limits_since_ns: Option<i64>,
    limits_new: bool,
}

/// Hands every record of a start to `visit`, with the limits in force there.
pub(crate) fn walk(
    files: &[BoxFile],
    mut visit: impl FnMut(&Context, &Record) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut context: Option<Context> = None;
    for file in files {
        let named = || format!("'{}'", file.path.display());
        for (_, record) in records(&file.bytes).with_context(named)? {
            match (&mut context, &record) {
                (None, Record::Header(header)) => {
                    let ceiling = header.ceiling_config().with_context(named)?;
                    let config = header.config_under(&ceiling, &header.limits).with_context(named)?;
                    let (header, limits) = (header.clone(), header.limits.clone());
                    context = Some(Context {
                        header,
                        ceiling,
                        config,
                        limits,
                        limits_since_ns: None,
                        limits_new: false,
                    });
                }
                (None, _) => bail!("{} begins with no header: nothing can be made of it", named()),
                (Some(context), Record::Header(Header { limits, .. }) | Record::Limits(limits))
                    if *limits != context.limits =>
                {
                    context.config =
                        context.header.config_under(&context.ceiling, limits).with_context(named)?;
                    context.limits = limits.clone();
                    context.limits_new = true;
                }
                (Some(context), Record::Cycle(cycle)) if context.limits_new => {
                    context.limits_since_ns = Some(unix_ns(&context.header, cycle.now));
                    context.limits_new = false;
                }
                _ => {}
            }
            if let Some(context) = &context {
                visit(context, &record)?;
            }
        }
    }
    Ok(())
}

/// Nanoseconds since the epoch of a time of the steps' clock.
pub(crate) fn unix_ns(header: &Header, time: Time) -> i64 {
    i64::try_from(header.unix_ns(time)).unwrap_or(i64::MAX)
}
