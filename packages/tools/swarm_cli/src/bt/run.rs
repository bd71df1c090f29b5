//! `cell bt run`: ticks a tree whose leaves answer from a list.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use swarm_base::Time;
use swarm_bt::{Mode, Registry, Tree, halt, tick_observed};
use swarm_bt_log::{Recipe, Recorder};
use swarm_bt_log_file::{RunFile, Sync};
use swarm_bt_script::{Event, Run, Scripts, declare, included, json_line, tree_line};

use crate::Outcome;
use crate::output::read;

/// Tick a behaviour tree with scripted leaves on a virtual clock, and write every transition and leaf call in order.
///
/// LEAVES is a JSON object with the answers of each leaf, by node name or registration id, given in a cycle; nodes that share
/// an entry share its answers:
///
///   {"Grasp": ["RUNNING", "SUCCESS"], "Place": "RRF",
///    "SeesPart": {"kind": "condition", "answers": "SSF", "outputs": {"pose": ["0.1;0.2", null]}}}
///
/// Answers are RUNNING, SUCCESS, FAILURE, SKIPPED or their letters R, S, F, K. Ports and kinds of leaves are taken from
/// <TreeNodesModel> and from their use in the tree.
///
/// The trace has one JSON object per line. First {"event":"tree","format":1,"main":ID,"nodes":[..]} with uid, parent, id, name,
/// path, document and line of every node; then for each step, numbered from 1:
///
///   {"event":"begin","step":1,"t_ns":0}
///   {"event":"transition","step":1,"uid":1,"path":"Sequence","from":"IDLE","to":"RUNNING"}
///   {"event":"call","step":1,"uid":2,"path":"Grasp::2","call":"start","answer":"RUNNING"}
///     (call: start, running, halt, halting; the answer to the last two is DONE or PENDING)
///   {"event":"ticked","step":1,"answer":"RUNNING"}                  (or "error", with uid and path of the node, and no answer)
///   {"event":"halted","step":9}
///
/// The run goes on after the tree has completed, as a tree that is ticked again does, and ends at an error.
///
/// Exit codes: 0 ticked to the end, 1 a tick ended in an error (the trace holds it), 2 the tree or the script is wrong.
#[allow(clippy::doc_link_with_quotes, reason = "the text of --help, in which JSON stands")]
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// The tree: BehaviorTree.CPP v4 XML. Files that it includes are found beside it.
    #[arg(value_name = "TREE.xml")]
    tree: PathBuf,
    /// What the leaves answer.
    #[arg(long, value_name = "LEAVES.json")]
    leaves: PathBuf,
    /// How often to tick.
    #[arg(long, value_name = "COUNT")]
    ticks: u64,
    /// Where the trace goes; `-` is standard output.
    #[arg(long, value_name = "OUT.jsonl")]
    trace: PathBuf,
    /// Record the run, for `cell bt replay`.
    #[arg(long, value_name = "RUN")]
    record: Option<PathBuf>,
    /// Virtual time between two ticks; the first is at 0.
    #[arg(long, value_name = "MS", default_value_t = 10)]
    period_ms: u64,
    /// Halt the tree after this tick, before the next; repeat for several.
    #[arg(long, value_name = "TICK")]
    halt_after: Vec<u64>,
    /// Without the defects of BehaviorTree.CPP, instead of as it to the transition; a document that says `mode` itself decides.
    #[arg(long)]
    strict: bool,
    /// Which tree to tick, where the file does not say it.
    #[arg(long, value_name = "ID")]
    main_tree: Option<String>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let scripts =
        Scripts::parse(&read(&args.leaves)?).with_context(|| format!("'{}'", args.leaves.display()))?;
    let documents = documents(&args.tree)?;
    let registry = declare(Registry::new(), &documents, &scripts);
    let recipe = Recipe {
        documents,
        main_tree: args.main_tree.clone(),
        mode: if args.strict { Mode::Strict } else { Mode::Compat },
        leaves: registry.leaves().to_vec(),
        constants: Vec::new(),
        halt_timeout: None,
    };
    let tree = recipe.load().map_err(|errors| anyhow!("the tree does not load:\n{errors}"))?;
    let mut recorder = match &args.record {
        Some(path) => Some(begin(path, &recipe, &tree)?),
        None => None,
    };
    let mut run = Run::new(tree, scripts).with_context(|| format!("'{}'", args.leaves.display()))?;

    let mut trace = Trace::create(&args.trace)?;
    trace.line(&tree_line(&run.tree));
    let mut outcome = Outcome::Done;
    for tick in 1..=args.ticks {
        let now = Time::from_millis((tick - 1).saturating_mul(args.period_ms));
        let mut sink = |tree: &Tree, event: Event<'_>| trace.add(tree, &event);
        let mut ended = run
            .tick_by(&mut sink, |tree, state, leaves, seen| match &mut recorder {
                Some(recorder) => recorder.tick(tree, state, now, leaves, seen),
                None => tick_observed(tree, state, now, leaves, seen),
            })
            .map(|_| ());
        if ended.is_ok() && args.halt_after.contains(&tick) {
            ended = run.halt_by(&mut sink, |tree, state, leaves, seen| match &mut recorder {
                Some(recorder) => recorder.halt(tree, state, now, leaves, seen),
                None => halt(tree, state, now, leaves, seen),
            });
        }
        if let Err(error) = ended {
            eprintln!("tick {tick}: {error}");
            outcome = Outcome::Refused;
            break;
        }
    }
    trace.finish()?;
    if let (Some(recorder), Some(path)) = (recorder, &args.record) {
        recorder.finish().with_context(|| format!("cannot write '{}'", path.display()))?;
    }
    Ok(outcome)
}

fn begin(path: &Path, recipe: &Recipe, tree: &Tree) -> anyhow::Result<Recorder<RunFile>> {
    let file = RunFile::create(path, Sync::default());
    let begun = file.and_then(|file| Recorder::begin(file, recipe, tree));
    begun.with_context(|| format!("cannot create '{}'", path.display()))
}

/// The tree's document, and those that are included, wherever below it they are included.
fn documents(tree: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let name = tree.file_name().unwrap_or(tree.as_os_str()).to_string_lossy().into_owned();
    let folder = tree.parent().unwrap_or(Path::new(""));
    let mut documents = vec![(name, read(tree)?)];
    let mut next = 0;
    while let Some((_, text)) = documents.get(next) {
        for path in included(text) {
            if documents.iter().all(|(known, _)| *known != path) {
                let text = read(&folder.join(&path))?;
                documents.push((path, text));
            }
        }
        next += 1;
    }
    Ok(documents)
}

/// The trace file. What goes wrong with it is said at the end: a tick cannot.
struct Trace {
    path: PathBuf,
    out: BufWriter<Box<dyn Write>>,
    step: u64,
    failed: Option<io::Error>,
}

impl Trace {
    fn create(path: &Path) -> anyhow::Result<Self> {
        let out: Box<dyn Write> = if path == Path::new("-") {
            Box::new(io::stdout())
        } else {
            Box::new(File::create(path).with_context(|| format!("cannot create '{}'", path.display()))?)
        };
        Ok(Trace { path: path.to_owned(), out: BufWriter::new(out), step: 0, failed: None })
    }

    fn add(&mut self, tree: &Tree, event: &Event<'_>) {
        if let Event::Begin { step, .. } = event {
            self.step = *step;
        }
        let line = json_line(tree, self.step, event);
        self.line(&line);
    }

    fn line(&mut self, line: &str) {
        if let (None, Err(error)) = (&self.failed, writeln!(self.out, "{line}")) {
            self.failed = Some(error);
        }
    }

    fn finish(mut self) -> anyhow::Result<()> {
        let written = self.failed.map_or(Ok(()), Err).and_then(|()| self.out.flush());
        written.with_context(|| format!("cannot write '{}'", self.path.display()))
    }
}
