//! The one way from a document's text to parsed XML, for whatever reads documents of trees: the loader, and what comes before it.
//!
//! 1. Bounds, looked at before anything is parsed: the parser compares the attributes of an element, and the namespaces that are in
//!    scope, each with all others, so that a text of a few hundred kilobytes could keep it busy for hours.
//! 2. BehaviorTree.CPP's dialect: trees in the wild have `code="a && b"` and `_skipIf="x < 3"`, which its parser takes as written
//!    though XML asks for `&amp;` and `&lt;`. They are put in; places in messages stay those of the text as it came.
//! 3. [`Xml::parse`]. Document type definitions, and with them entities, are refused: they can make a small file arbitrarily large.

use std::borrow::Cow;

use roxmltree::{Document, ParsingOptions};

use super::MAX_NODES;

/// Bytes of a document, and of all documents of a tree together. A tree of the largest size, indented and commented, stays below.
pub(super) const MAX_BYTES: usize = 16 << 20;
/// Attributes of one element, namespaces included.
const MAX_ATTRIBUTES: usize = 256;
/// Elements within each other, before SubTrees are expanded: several times what a tree may have.
const MAX_DEPTH: usize = 1_024;
/// Namespaces that a document declares. A tree needs none; editors and schemas put in one or two.
const MAX_NAMESPACES: usize = 16;
/// Elements, texts and comments: a tree of the largest size with comments passes.
const MAX_XML_NODES: u32 = 4 * MAX_NODES as u32;

/// A document's text in which every `&` and `<` is where XML allows it, within the bounds of what is parsed.
///
/// Offsets of the parsed [`Document`] are those of the mended text; [`Xml::original_offset`] and [`Xml::line_and_column`] lead back.
///
/// ```
/// use swarm_bt::Xml;
///
/// let xml = Xml::new(r#"<root> <A _skipIf="x < 3 && y"/> </root>"#)?;
/// let document = xml.parse()?;
/// let element = document.root_element().first_element_child().unwrap();
/// assert_eq!(element.attribute("_skipIf"), Some("x < 3 && y"));
/// assert_eq!(&xml.original()[xml.original_offset(element.range().end)..], " </root>");
/// # Ok::<(), swarm_bt::XmlError>(())
/// ```
#[derive(Debug)]
pub struct Xml<'t> {
    original: &'t str,
    mended: Cow<'t, str>,
    /// Behind which byte of `mended` how many bytes more than in the original have been put in, from the front on.
    extra: Vec<(usize, usize)>,
    lines: LineIndex,
}

/// Why a text is no document, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {kind}")]
pub struct XmlError {
    /// From 1 on.
    pub line: u32,
    pub column: u32,
    pub kind: XmlErrorKind,
}

/// What is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum XmlErrorKind {
    #[error("not well-formed XML: {0}")]
    Malformed(String),
    #[error("the document has {bytes} bytes, more than {limit}")]
    TooLarge { bytes: usize, limit: usize },
    #[error("more than {limit} attributes in one element")]
    TooManyAttributes { limit: usize },
    #[error("elements are nested more than {limit} deep")]
    TooDeep { limit: usize },
    #[error("more than {limit} namespaces are declared: leave xmlns out, a tree needs none")]
    TooManyNamespaces { limit: usize },
}

impl<'t> Xml<'t> {
    /// Looks at the bounds, and puts in what XML asks for.
    ///
    /// # Errors
    /// If a bound is passed, or there is a document type definition.
    pub fn new(original: &'t str) -> Result<Self, XmlError> {
        if original.len() > MAX_BYTES {
            let kind = XmlErrorKind::TooLarge { bytes: original.len(), limit: MAX_BYTES };
            return Err(XmlError { line: 1, column: 1, kind });
        }
        let lines = LineIndex::new(original);
        match mend(original) {
            Ok((mended, extra)) => Ok(Xml { original, mended, extra, lines }),
            Err((offset, kind)) => {
                let (line, column) = lines.at(offset);
                Err(XmlError { line, column, kind })
            }
        }
    }

    /// # Errors
    /// If it is not well-formed.
    pub fn parse(&self) -> Result<Document<'_>, XmlError> {
        let options =
            ParsingOptions { allow_dtd: false, nodes_limit: MAX_XML_NODES, ..ParsingOptions::default() };
        Document::parse_with_options(&self.mended, options).map_err(|error| {
            let at = error.pos();
            let message = error.to_string();
            let message = message.trim_end_matches(&format!(" at {at}")).to_owned();
            XmlError { line: at.row, column: at.col, kind: XmlErrorKind::Malformed(message) }
        })
    }

    /// The text as it came.
    pub fn original(&self) -> &'t str {
        self.original
    }

    /// The byte of the original that stands at `offset` of the parsed document.
    pub fn original_offset(&self, offset: usize) -> usize {
        let before = self.extra.partition_point(|(at, _)| *at < offset);
        match before.checked_sub(1).and_then(|last| self.extra.get(last)) {
            Some((_, extra)) => offset - extra,
            None => offset,
        }
    }

    /// Line and column of what stands at `offset` of the parsed document, from 1 on; columns count bytes.
    pub fn line_and_column(&self, offset: usize) -> (u32, u32) {
        self.lines.at(self.original_offset(offset))
    }
}

/// Byte offsets to lines and columns.
#[derive(Debug)]
struct LineIndex(Vec<usize>);

impl LineIndex {
    fn new(text: &str) -> Self {
        LineIndex(std::iter::once(0).chain(text.match_indices('\n').map(|(i, _)| i + 1)).collect())
    }

    /// Line and column from 1 on; columns count bytes.
    fn at(&self, offset: usize) -> (u32, u32) {
        let line = self.0.partition_point(|&start| start <= offset);
        (line as u32, (offset - self.0[line - 1] + 1) as u32)
    }
}

/// Where in a document the reader is.
#[derive(Clone, Copy, PartialEq)]
enum Inside {
    Text,
    Tag,
    /// An attribute's value and the quote that ends it.
    Value(u8),
}

/// `mended` and `extra` of an [`Xml`].
type Mended<'t> = (Cow<'t, str>, Vec<(usize, usize)>);

/// The text with what XML asks for; or which bound is passed at which byte.
///
/// As long as the text is well-formed, the parser sees tags and values where this does; where it is not, the parser ends.
fn mend(text: &str) -> Result<Mended<'_>, (usize, XmlErrorKind)> {
    let bytes = text.as_bytes();
    let (mut out, mut puts) = (String::new(), Vec::new());
    let (mut inside, mut at, mut copied, mut extra) = (Inside::Text, 0, 0, 0);
    let (mut tag, mut attributes, mut depth, mut namespaces) = (0, 0, 0_usize, 0);
    while let Some(&byte) = bytes.get(at) {
        let rest = &bytes[at..];
        let instead = match (inside, byte) {
            (Inside::Text, b'<') => {
                let closed = [("<!--", "-->"), ("<![CDATA[", "]]>"), ("<?", "?>")]
                    .into_iter()
                    .find(|(open, _)| rest.starts_with(open.as_bytes()));
                if let Some((open, close)) = closed {
                    // What is never closed is the parser's to refuse.
                    let body = &text[at + open.len()..];
                    at += open.len() + body.find(close).map_or(body.len(), |end| end + close.len());
                    continue;
                }
                if rest.starts_with(b"<!") {
                    let why = "a document type definition, or no comment: neither is allowed";
                    return Err((at, XmlErrorKind::Malformed(why.to_owned())));
                }
                (inside, tag, attributes) = (Inside::Tag, at, 0);
                None
            }
            (Inside::Tag, b'>') => {
                inside = Inside::Text;
                if bytes[tag..].starts_with(b"</") {
                    depth = depth.saturating_sub(1);
                } else if bytes[at - 1] != b'/' {
                    depth += 1;
                    if depth > MAX_DEPTH {
                        return Err((tag, XmlErrorKind::TooDeep { limit: MAX_DEPTH }));
                    }
                }
                None
            }
            (Inside::Tag, b'x') if rest.starts_with(b"xmlns") => {
                namespaces += 1;
                if namespaces > MAX_NAMESPACES {
                    return Err((at, XmlErrorKind::TooManyNamespaces { limit: MAX_NAMESPACES }));
                }
                None
            }
            (Inside::Tag, b'"' | b'\'') => {
                inside = Inside::Value(byte);
                attributes += 1;
                if attributes > MAX_ATTRIBUTES {
                    return Err((at, XmlErrorKind::TooManyAttributes { limit: MAX_ATTRIBUTES }));
                }
                None
            }
            (Inside::Value(quote), _) if byte == quote => {
                inside = Inside::Tag;
                None
            }
            (Inside::Value(_), b'<') => Some("&lt;"),
            (Inside::Text | Inside::Value(_), b'&') if !is_reference(rest) => Some("&amp;"),
            _ => None,
        };
        at += 1;
        if let Some(instead) = instead {
            out.push_str(&text[copied..at - 1]);
            out.push_str(instead);
            copied = at;
            extra += instead.len() - 1;
            puts.push((at - 1 + extra, extra));
        }
    }
    if puts.is_empty() {
        return Ok((Cow::Borrowed(text), puts));
    }
    out.push_str(&text[copied..]);
    Ok((Cow::Owned(out), puts))
}

/// Whether bytes that begin with `&` are one of XML's own entities or a character by its number.
fn is_reference(bytes: &[u8]) -> bool {
    let Some(end) = bytes.iter().take(12).position(|&b| b == b';') else { return false };
    match &bytes[1..end] {
        b"amp" | b"lt" | b"gt" | b"quot" | b"apos" => true,
        [b'#', b'x' | b'X', hex @ ..] => !hex.is_empty() && hex.iter().all(u8::is_ascii_hexdigit),
        [b'#', digits @ ..] => !digits.is_empty() && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    #[test]
    fn only_what_xml_does_not_allow_is_mended() {
        let rows = [
            (r#"<a b="x && y"/>"#, r#"<a b="x &amp;&amp; y"/>"#),
            (r#"<a b='x < "3"'>"#, r#"<a b='x &lt; "3"'>"#),
            (r#"<a b="&amp;&lt;&#10;&#xA;&quot;"/>"#, r#"<a b="&amp;&lt;&#10;&#xA;&quot;"/>"#),
            (r#"<a b="&foo;&#;&#x;&"/>"#, r#"<a b="&amp;foo;&amp;#;&amp;#x;&amp;"/>"#),
            ("<a>this & that</a>", "<a>this &amp; that</a>"),
            (r#"<!-- a && b="<" --><a b="&"/>"#, r#"<!-- a && b="<" --><a b="&amp;"/>"#),
            (r#"<![CDATA[ && ]]><a b="&"/>"#, r#"<![CDATA[ && ]]><a b="&amp;"/>"#),
            (r#"<?xml x="&"?><a b="&"/>"#, r#"<?xml x="&"?><a b="&amp;"/>"#),
            ("<!-- never closed &", "<!-- never closed &"),
            ("<a < b", "<a < b"),
            ("ü & ü", "ü &amp; ü"),
        ];
        for (text, expected) in rows {
            assert_eq!(Xml::new(text).unwrap().mended, expected);
        }
    }

    #[test]
    fn places_are_those_of_the_original() {
        let text = r#"<a b="x && y" c="<" d="z"/>"#;
        let xml = Xml::new(text).unwrap();
        for c in ["a", "x", "y", "c", "d", "z"] {
            let (here, there) = (xml.mended.find(c), text.find(c));
            assert_eq!(here.map(|at| xml.original_offset(at)).map(|at| &text[at..=at]), Some(c));
            assert!(here >= there);
        }
        assert_eq!(xml.original_offset(xml.mended.len()), text.len());
    }

    fn refused(text: &str) -> String {
        let parsed = Xml::new(text).and_then(|xml| xml.parse().map(|document| document.root().range()));
        parsed.expect_err("it is refused").to_string()
    }

    /// The parser alone takes minutes to hours for each of them.
    #[test]
    fn what_would_keep_the_parser_busy_is_refused_before_it_begins() {
        let mut attributes = String::new();
        for i in 0..300_000 {
            let _ = write!(attributes, r#" a{i}="""#);
        }
        assert_eq!(refused(&format!("<a{attributes}/>")), "1:1947: more than 256 attributes in one element");
        // What stands behind it does not save it.
        let with_type = refused(&format!("<a{attributes}><!b></a>"));
        assert!(with_type.ends_with("more than 256 attributes in one element"), "{with_type}");

        let mut nested = String::new();
        for i in 0..1_000 {
            let _ = write!(nested, r#"<a xmlns:p{i}="n{i}">"#);
        }
        let closed = "</a>".repeat(1_000);
        assert_eq!(
            refused(&format!("{nested}{closed}")),
            "1:288: more than 16 namespaces are declared: leave xmlns out, a tree needs none"
        );

        let deep = format!("{}{}", "<a>".repeat(200_000), "</a>".repeat(200_000));
        assert_eq!(refused(&deep), "1:3073: elements are nested more than 1024 deep");
        let blank = " ".repeat(MAX_BYTES);
        assert_eq!(
            refused(&format!("<a>{blank}</a>")),
            "1:1: the document has 16777223 bytes, more than 16777216"
        );
    }

    #[test]
    fn depth_is_that_of_open_elements() {
        let many = format!("<a>{}{}</a>", "<b c='>'/>".repeat(3_000), "<b>x</b>".repeat(3_000));
        assert_eq!(Xml::new(&many).unwrap().parse().unwrap().root_element().children().count(), 6_000);
    }

    #[test]
    fn a_namespace_or_two_do_no_harm() {
        let text = r#"<root xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:noNamespaceSchemaLocation="a.xsd"/>"#;
        assert_eq!(Xml::new(text).unwrap().parse().unwrap().root_element().tag_name().name(), "root");
    }

    #[test]
    fn document_types_are_refused() {
        let text = "<!DOCTYPE root [<!ENTITY a \"aaaa\">]>\n<root name=\"&a;\"/>";
        assert!(refused(text).starts_with("1:1: not well-formed XML: a document type definition"));
    }
}
