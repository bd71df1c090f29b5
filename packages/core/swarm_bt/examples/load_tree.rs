//! Loads any BehaviorTree.CPP v4 tree as it is, with a leaf made up for every node that is not built in.
//!
//!     cargo run -p swarm_bt --example load_tree -- TREE.xml [MORE.xml ..] [--main ID] [--constant NAME=NUMBER ..]
//!
//! Shows the leaves that a program would have to provide, the nodes, and what the tree does when every leaf succeeds at once.
//! Documents that the tree includes are read from the folder of the first. Constants are what a program would register as
//! scripting enums.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use swarm_base::Time;
use swarm_bt::{
    Direction, Halt, Include, LeafCall, LeafModel, Leaves, LoadErrorKind, LoadErrors, Loader, Mode, Port,
    PortType, Registry, State, Status, Tree, tick_until_settled,
};

const USAGE: &str = "usage: load_tree TREE.xml [MORE.xml ..] [--main ID] [--constant NAME=NUMBER ..]";

#[derive(Default)]
struct Asked {
    folder: PathBuf,
    /// Name and text of each document.
    documents: Vec<(String, String)>,
    main: Option<String>,
    constants: Vec<(String, i64)>,
}

fn main() -> ExitCode {
    match asked().and_then(|asked| show(&asked)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn asked() -> Result<Asked, Box<dyn std::error::Error>> {
    let mut asked = Asked::default();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        if argument == "--main" {
            asked.main = Some(arguments.next().ok_or(USAGE)?);
        } else if argument == "--constant" {
            let text = arguments.next().ok_or(USAGE)?;
            let (name, value) = text.split_once('=').ok_or(USAGE)?;
            asked.constants.push((name.to_owned(), value.parse()?));
        } else {
            let path = PathBuf::from(argument);
            let text =
                std::fs::read_to_string(&path).map_err(|e| format!("reading {}: {e}", path.display()))?;
            if asked.documents.is_empty() {
                asked.folder = path.parent().map(Path::to_owned).unwrap_or_default();
            }
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            asked.documents.push((name, text));
        }
    }
    if asked.documents.is_empty() { Err(USAGE.into()) } else { Ok(asked) }
}

fn show(asked: &Asked) -> Result<(), Box<dyn std::error::Error>> {
    let (tree, leaves) = load(asked)?;
    println!("leaves:");
    for leaf in leaves.leaves() {
        let ports: Vec<&str> = leaf.ports.iter().map(|port| port.name.as_str()).collect();
        println!("  {}({})", leaf.id, ports.join(", "));
    }
    println!("nodes:");
    for node in tree.nodes() {
        let depth = std::iter::successors(node.parent, |&uid| tree.node(uid)?.parent).count();
        println!("  {:>4} {}{} [{}]", node.uid, "  ".repeat(depth), node.name, node.id);
    }
    let mut state = State::new(&tree);
    for i in 0..100_u32 {
        let now = Time::from_millis(u64::from(i) * 100);
        let answer = tick_until_settled(&tree, &mut state, now, &mut Succeed, &mut (), 1000)?;
        if answer != Status::Running {
            println!("{answer} after {} ticks", i + 1);
            return Ok(());
        }
    }
    println!("still RUNNING after 100 ticks of 100 ms");
    Ok(())
}

/// Loads the tree again and again, each time with the leaves and ports that were missing the last time.
fn load(asked: &Asked) -> Result<(Tree, Registry), LoadErrors> {
    let read = |include: Include<'_>| match include.package {
        None => std::fs::read_to_string(asked.folder.join(include.path)).map_err(|error| error.to_string()),
        Some(package) => Err(format!("this tool knows no ROS package, so not {package} either")),
    };
    let mut models: BTreeMap<String, LeafModel> = BTreeMap::new();
    loop {
        let mut registry =
            models.values().fold(Registry::new(), |registry, model| registry.leaf(model.clone()));
        for (name, value) in &asked.constants {
            registry = registry.constant(name, *value);
        }
        let mut loader = Loader::new(&registry).mode(Mode::Compat).includes(&read);
        for (name, text) in &asked.documents {
            loader = loader.document(name, text);
        }
        if let Some(main) = &asked.main {
            loader = loader.main_tree(main);
        }
        let errors = match loader.load() {
            Ok(tree) => return Ok((tree, registry)),
            Err(errors) => errors,
        };
        let mut learned = false;
        for error in &errors.0 {
            learned |= match &error.kind {
                LoadErrorKind::UnknownNode { id, .. } => {
                    models.insert(id.clone(), LeafModel::action(id)).is_none()
                }
                LoadErrorKind::UnknownPort { id, port, .. } => models.get_mut(id).is_some_and(|model| {
                    let new = model.ports.iter().all(|known| known.name != *port);
                    if new {
                        let (name, direction) = (port.clone(), Direction::InOut);
                        model.ports.push(Port { name, direction, ty: PortType::Any, default: None });
                    }
                    new
                }),
                _ => false,
            };
        }
        if !learned {
            return Err(errors);
        }
    }
}

struct Succeed;

impl Leaves for Succeed {
    fn start(&mut self, _: &mut LeafCall<'_>) -> Status {
        Status::Success
    }

    fn running(&mut self, _: &mut LeafCall<'_>) -> Status {
        Status::Success
    }

    fn halt(&mut self, _: &mut LeafCall<'_>) -> Halt {
        Halt::Done
    }
}
