//! Which documents belong to a tree: those given to the loader and those that they include.
//!
//! The name of a document is its path from the root of whatever holds it, as `trees/main.xml`. A path in an `<include>` is
//! relative to the document it stands in, and with `ros_pkg` to the share directory of that package, whose documents are
//! called `package://PACKAGE/PATH`. No path leaves its root, and each document is read once.

use std::borrow::Cow;
use std::fmt;

use super::error::{IncludeProblem, LoadError, LoadErrorKind};
use super::source::{Element, Text};
use super::xml::{MAX_BYTES, Xml};

/// How deep documents may include each other.
const MAX_INCLUDE_DEPTH: usize = 32;
/// Documents of one tree.
const MAX_DOCUMENTS: usize = 256;

const PACKAGE: &str = "package://";

/// The document that an `<include>` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Include<'a> {
    /// `ros_pkg`: the ROS package in whose share directory the document is. `None` for the root that holds the first document.
    pub package: Option<&'a str>,
    /// From that root, with `/`, without `.` and `..`.
    pub path: &'a str,
}

/// Reads what documents include: from an archive, a directory, a map. The loader itself touches no file.
///
/// Every `Fn(Include) -> Result<String, String>` is one; the error says why there is no such document.
pub trait Resolve {
    fn read(&self, include: Include<'_>) -> Result<String, String>;
}

impl<F: Fn(Include<'_>) -> Result<String, String>> Resolve for F {
    fn read(&self, include: Include<'_>) -> Result<String, String> {
        self(include)
    }
}

impl fmt::Debug for dyn Resolve + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resolve")
    }
}

/// A document and how it came here.
struct Found<'a> {
    name: String,
    text: Cow<'a, str>,
    /// Places of the documents that include each other down to this one, outermost first.
    chain: Vec<usize>,
}

/// All documents in the order in which they were met: name and text. What cannot be had is in `errors`.
pub(super) fn gather<'a>(
    given: &[(String, &'a str)],
    resolver: Option<&dyn Resolve>,
    errors: &mut Vec<LoadError>,
) -> Vec<(String, Cow<'a, str>)> {
    let document = |(name, text): &(String, &'a str)| Found {
        name: name.clone(),
        text: Cow::Borrowed(*text),
        chain: Vec::new(),
    };
    let mut found: Vec<Found<'a>> = given.iter().map(document).collect();
    let mut bytes: usize = found.iter().map(|document| document.text.len()).sum();
    let mut at = 0;
    while bytes <= MAX_BYTES && at < found.len() {
        for ((line, column), asked) in includes(&found[at]) {
            match asked.and_then(|asked| follow(&asked, at, &mut found, resolver)) {
                Ok(more) => bytes += more,
                Err(kind) => {
                    let document = found[at].name.clone();
                    errors.push(LoadError { document, line, column, path: String::new(), kind });
                }
            }
        }
        at += 1;
    }
    if bytes > MAX_BYTES {
        let document = found.last().map(|document| document.name.clone()).unwrap_or_default();
        let kind = LoadErrorKind::TooLarge { limit: MAX_BYTES };
        errors.push(LoadError { document, line: 0, column: 0, path: String::new(), kind });
    }
    found.into_iter().map(|document| (document.name, document.text)).collect()
}

/// What an element `<include>` says.
struct Asked {
    path: String,
    package: Option<String>,
}

/// The includes of a document with line and column. That a document is no XML is found when it is parsed for its trees.
fn includes(document: &Found<'_>) -> Vec<((u32, u32), Result<Asked, LoadErrorKind>)> {
    // Most documents include nothing and are parsed only once.
    if !document.text.contains("<include") {
        return Vec::new();
    }
    let Ok(xml) = Xml::new(&document.text) else { return Vec::new() };
    let Ok(text) = Text::parse(&document.name, &xml) else { return Vec::new() };
    let asked = |element: Element<'_>| {
        let path = element.required("path")?.to_owned();
        Ok(Asked { path, package: element.attribute("ros_pkg").map(str::to_owned) })
    };
    let includes = text.root(0).children().filter(|child| child.tag() == "include");
    includes.map(|element| (text.line_and_column(element.place()), asked(element))).collect()
}

/// Adds the document that `asked` names unless it is there already. Returns how many bytes that made.
fn follow(
    asked: &Asked,
    from: usize,
    found: &mut Vec<Found<'_>>,
    resolver: Option<&dyn Resolve>,
) -> Result<usize, LoadErrorKind> {
    let refuse = |why| LoadErrorKind::Include { path: asked.path.clone(), why };
    let name = locate(&found[from].name, asked).ok_or_else(|| refuse(IncludeProblem::Outside))?;
    let mut chain = found[from].chain.clone();
    chain.push(from);
    if let Some(known) = found.iter().position(|document| document.name == name) {
        if let Some(start) = chain.iter().position(|&place| place == known) {
            let names = chain[start..].iter().chain([&known]).map(|&place| found[place].name.clone());
            return Err(refuse(IncludeProblem::Cycle(names.collect())));
        }
        return Ok(0);
    }
    if chain.len() > MAX_INCLUDE_DEPTH {
        return Err(refuse(IncludeProblem::TooDeep { limit: MAX_INCLUDE_DEPTH }));
    }
    if found.len() >= MAX_DOCUMENTS {
        return Err(refuse(IncludeProblem::TooMany { limit: MAX_DOCUMENTS }));
    }
    let Some(resolver) = resolver else {
        return Err(refuse(IncludeProblem::NotGiven { name }));
    };
    let text = resolver
        .read(include(&name))
        .map_err(|reason| refuse(IncludeProblem::Unreadable { name: name.clone(), reason }))?;
    let bytes = text.len();
    found.push(Found { name, text: Cow::Owned(text), chain });
    Ok(bytes)
}

/// A document's name as the resolver is asked for it.
fn include(name: &str) -> Include<'_> {
    match name.strip_prefix(PACKAGE).and_then(|rest| rest.split_once('/')) {
        Some((package, path)) => Include { package: Some(package), path },
        None => Include { package: None, path: name },
    }
}

/// The name of the document that `asked` means in the document `from`. `None` if that is outside of its root.
fn locate(from: &str, asked: &Asked) -> Option<String> {
    let (root, folder) = match (&asked.package, from.strip_prefix(PACKAGE)) {
        (Some(package), _)
            if package.is_empty() || package.contains(['/', '\\']) || package.starts_with('.') =>
        {
            return None;
        }
        (Some(package), _) => (format!("{PACKAGE}{package}/"), ""),
        (None, Some(rest)) => {
            let (package, path) = rest.split_once('/')?;
            (format!("{PACKAGE}{package}/"), folder(path))
        }
        // A caller that names its documents by absolute paths has the root of the file system as root.
        (None, None) => match from.strip_prefix('/') {
            Some(path) => ("/".to_owned(), folder(path)),
            None => (String::new(), folder(from)),
        },
    };
    if asked.path.starts_with('/') || asked.path.contains(['\\', '\0']) {
        return None;
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in folder.split('/').chain(asked.path.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    (!parts.is_empty()).then(|| root + &parts.join("/"))
}

fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

#[cfg(test)]
mod tests {
    use super::{Asked, locate};

    #[test]
    fn a_path_is_relative_to_its_document_and_stays_below_its_root() {
        let rows = [
            ("main.xml", None, "a.xml", Some("a.xml")),
            ("trees/main.xml", None, "a.xml", Some("trees/a.xml")),
            ("trees/main.xml", None, "./sub//a.xml", Some("trees/sub/a.xml")),
            ("trees/main.xml", None, "../lib/a.xml", Some("lib/a.xml")),
            ("trees/main.xml", None, "../../a.xml", None),
            ("trees/main.xml", None, "sub/../../../a.xml", None),
            ("main.xml", None, "/etc/passwd", None),
            ("main.xml", None, "..\\a.xml", None),
            ("main.xml", None, "..", None),
            ("main.xml", None, ".", None),
            ("/home/u/main.xml", None, "a.xml", Some("/home/u/a.xml")),
            ("main.xml", Some("lib"), "a.xml", Some("package://lib/a.xml")),
            ("main.xml", Some("lib"), "../other/a.xml", None),
            ("main.xml", Some("../lib"), "a.xml", None),
            ("package://lib/trees/b.xml", None, "a.xml", Some("package://lib/trees/a.xml")),
            ("package://lib/b.xml", None, "../a.xml", None),
        ];
        for (from, package, path, expected) in rows {
            let asked = Asked { path: path.to_owned(), package: package.map(str::to_owned) };
            assert_eq!(locate(from, &asked).as_deref(), expected, "{from} includes {path}");
        }
    }
}
