//! What a tree is made from, so that a recording needs nothing but itself.

use sha2::{Digest as _, Sha256};
use swarm_base::Duration;
use swarm_bt::{Direction, LeafKind, LeafModel, LoadErrors, Loader, Mode, PortType, Registry, Tree};

use crate::wire::{Cursor, Malformed, put_number, put_signed, put_text};

/// Documents, leaves and rules: enough to load the tree again.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    /// Name and text; the first says which tree is the main one, included ones are among the others.
    pub documents: Vec<(String, String)>,
    /// Overrides what the first document says.
    pub main_tree: Option<String>,
    pub mode: Mode,
    pub leaves: Vec<LeafModel>,
    /// Names that scripts read as numbers.
    pub constants: Vec<(String, i64)>,
    /// How long a leaf may take to stop, see [`Loader::halt_timeout`].
    pub halt_timeout: Option<Duration>,
}

impl Recipe {
    /// One document, with all leaves of a registry.
    pub fn new(name: impl Into<String>, text: impl Into<String>, registry: &Registry) -> Self {
        Recipe {
            documents: vec![(name.into(), text.into())],
            main_tree: None,
            mode: Mode::default(),
            leaves: registry.leaves().to_vec(),
            constants: registry.constants().map(|(name, value)| (name.to_owned(), value)).collect(),
            halt_timeout: None,
        }
    }

    /// Loads the tree.
    pub fn load(&self) -> Result<Tree, LoadErrors> {
        let registry = self.leaves.iter().cloned().fold(Registry::new(), Registry::leaf);
        let constants = self.constants.iter();
        let registry = constants.fold(registry, |registry, (name, value)| registry.constant(name, *value));
        let mut loader = Loader::new(&registry).mode(self.mode);
        for (name, text) in &self.documents {
            loader = loader.document(name, text);
        }
        if let Some(id) = &self.main_tree {
            loader = loader.main_tree(id);
        }
        if let Some(timeout) = self.halt_timeout {
            loader = loader.halt_timeout(timeout);
        }
        loader.load()
    }

    /// SHA-256 of everything here: two recordings with the same digest are of the same tree.
    pub fn digest(&self) -> [u8; 32] {
        let mut bytes = Vec::new();
        self.put(&mut bytes);
        Sha256::digest(&bytes).into()
    }

    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        put_number(out, self.documents.len() as u64);
        for (name, text) in &self.documents {
            put_text(out, name);
            put_text(out, text);
        }
        put_text(out, self.main_tree.as_deref().unwrap_or_default());
        put_one_of(out, &MODES, self.mode);
        put_number(out, self.leaves.len() as u64);
        for leaf in &self.leaves {
            put_text(out, &leaf.id);
            put_one_of(out, &KINDS, leaf.kind);
            put_number(out, leaf.ports.len() as u64);
            for port in &leaf.ports {
                put_text(out, &port.name);
                put_one_of(out, &DIRECTIONS, port.direction);
                put_one_of(out, &TYPES, port.ty);
                out.push(u8::from(port.default.is_some()));
                put_text(out, port.default.as_deref().unwrap_or_default());
            }
        }
        put_number(out, self.constants.len() as u64);
        for (name, value) in &self.constants {
            put_text(out, name);
            put_signed(out, *value);
        }
        out.push(u8::from(self.halt_timeout.is_some()));
        put_number(out, self.halt_timeout.unwrap_or_default().0);
    }

    pub(crate) fn take(from: &mut Cursor<'_>) -> Result<Self, Malformed> {
        let documents: Result<Vec<_>, Malformed> =
            (0..from.count()?).map(|_| Ok((from.text()?.to_owned(), from.text()?.to_owned()))).collect();
        let main_tree = Some(from.text()?.to_owned()).filter(|id| !id.is_empty());
        let mode = take_one_of(from, &MODES, "a mode")?;
        let leaves: Result<Vec<_>, Malformed> = (0..from.count()?).map(|_| take_leaf(from)).collect();
        let constants: Result<Vec<_>, Malformed> =
            (0..from.count()?).map(|_| Ok((from.text()?.to_owned(), from.signed()?))).collect();
        let limited = from.byte()? != 0;
        let halt_timeout = Some(Duration(from.number()?)).filter(|_| limited);
        Ok(Recipe {
            documents: documents?,
            main_tree,
            mode,
            leaves: leaves?,
            constants: constants?,
            halt_timeout,
        })
    }
}

// By their number in a recording; only ever added to.
const MODES: [Mode; 2] = [Mode::Compat, Mode::Strict];
const KINDS: [LeafKind; 2] = [LeafKind::Action, LeafKind::Condition];
const DIRECTIONS: [Direction; 3] = [Direction::Input, Direction::Output, Direction::InOut];
const TYPES: [PortType; 6] =
    [PortType::Any, PortType::Bool, PortType::Int, PortType::Float, PortType::Str, PortType::Vector];

fn put_one_of<T: Copy + PartialEq>(out: &mut Vec<u8>, all: &[T], one: T) {
    out.push(all.iter().position(|other| *other == one).unwrap_or_default() as u8);
}

fn take_one_of<T: Copy>(from: &mut Cursor<'_>, all: &[T], expected: &'static str) -> Result<T, Malformed> {
    all.get(usize::from(from.byte()?)).copied().ok_or(Malformed { expected })
}

fn take_leaf(from: &mut Cursor<'_>) -> Result<LeafModel, Malformed> {
    let id = from.text()?.to_owned();
    let kind = take_one_of(from, &KINDS, "a kind of leaf")?;
    let mut model = LeafModel { id, kind, ports: Vec::new() };
    for _ in 0..from.count()? {
        let name = from.text()?.to_owned();
        let direction = take_one_of(from, &DIRECTIONS, "a port's direction")?;
        let ty = take_one_of(from, &TYPES, "a port's type")?;
        let given = from.byte()? != 0;
        let default = Some(from.text()?.to_owned()).filter(|_| given);
        model.ports.push(swarm_bt::Port { name, direction, ty, default });
    }
    Ok(model)
}
