//! XML of strangers, within bounds, and texts written into XML.

use roxmltree::{Document, Node, ParsingOptions};

/// Most nodes of a SOAP answer. The largest that is known, `GetProfiles` of a recorder with 64 channels, has some 20,000.
const MAX_NODES: u32 = 100_000;

/// Longest text that is taken from a device, in characters; the rest is cut off.
pub(crate) const MAX_TEXT: usize = 512;

/// Reads `text` without DTD (so without entities of its own) and with at most [`MAX_NODES`] nodes. Nesting costs no stack.
pub(crate) fn document(text: &str) -> Result<Document<'_>, String> {
    let options = ParsingOptions { allow_dtd: false, nodes_limit: MAX_NODES, ..ParsingOptions::default() };
    let text = text.trim_start_matches('\u{feff}').trim();
    // The library's messages repeat names out of the text.
    Document::parse_with_options(text, options).map_err(|error| clean(&error.to_string()))
}

/// Elements by their local name. Prefixes and namespaces are wrong too often for anything to hang on them.
pub(crate) trait Find<'a, 'input: 'a>: Sized {
    fn all(self, name: &'static str) -> impl Iterator<Item = Node<'a, 'input>>;

    fn child(self, name: &'static str) -> Option<Node<'a, 'input>>;

    /// Follows `names` down.
    fn at(self, names: &[&'static str]) -> Option<Node<'a, 'input>>;

    /// Text of the child `name`, if it has one that is not empty.
    fn value(self, name: &'static str) -> Option<String>;

    fn number<T: std::str::FromStr>(self, name: &'static str) -> Option<T>;
}

impl<'a, 'input: 'a> Find<'a, 'input> for Node<'a, 'input> {
    fn all(self, name: &'static str) -> impl Iterator<Item = Node<'a, 'input>> {
        self.children().filter(move |node| node.is_element() && node.tag_name().name() == name)
    }

    fn child(self, name: &'static str) -> Option<Node<'a, 'input>> {
        self.all(name).next()
    }

    fn at(self, names: &[&'static str]) -> Option<Node<'a, 'input>> {
        names.iter().try_fold(self, |node, name| node.child(name))
    }

    fn value(self, name: &'static str) -> Option<String> {
        text(self.child(name)?)
    }

    fn number<T: std::str::FromStr>(self, name: &'static str) -> Option<T> {
        self.value(name)?.parse().ok()
    }
}

/// An element's own text, cleaned; none if there is nothing in it.
pub(crate) fn text(node: Node<'_, '_>) -> Option<String> {
    node.text().map(clean).filter(|text| !text.is_empty())
}

/// An attribute's text, cleaned.
pub(crate) fn attribute(node: Node<'_, '_>, name: &str) -> Option<String> {
    node.attributes().find(|attribute| attribute.name() == name).map(|attribute| clean(attribute.value()))
}

/// A device's text as it may be kept and printed: one line, at most [`MAX_TEXT`] characters, and nothing that steers a
/// terminal or changes the order of what is read.
pub(crate) fn clean(text: &str) -> String {
    let harmless = |c: char| match c {
        c if c.is_whitespace() => ' ',
        c if c.is_control() => '\u{fffd}',
        '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' => {
            '\u{fffd}'
        }
        c => c,
    };
    text.trim().chars().take(MAX_TEXT).map(harmless).collect()
}

/// `text` as the content of an element or attribute.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            // XML 1.0 has no way to write these.
            c if c.is_control() && !matches!(c, '\t' | '\n' | '\r') => escaped.push('\u{fffd}'),
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_document_type_is_refused_so_that_no_entity_can_expand() {
        let bomb = r#"<!DOCTYPE a [<!ENTITY x "xx"><!ENTITY y "&x;&x;">]><a>&y;</a>"#;
        assert_eq!(document(bomb).unwrap_err(), "XML with DTD detected");
    }

    #[test]
    fn more_nodes_than_any_camera_has_are_refused() {
        let huge = format!("<a>{}</a>", "<b/>".repeat(MAX_NODES as usize));
        assert_eq!(document(&huge).unwrap_err(), "nodes limit reached");
    }

    #[test]
    fn nesting_a_hundred_thousand_deep_costs_no_stack() {
        let deep = "<a>".repeat(90_000) + &"</a>".repeat(90_000);
        document(&deep).unwrap();
    }

    #[test]
    fn a_device_cannot_steer_the_terminal() {
        assert_eq!(clean(" Cam\u{1b}[2J\u{202e}x\r\ny "), "Cam\u{fffd}[2J\u{fffd}x  y");
        assert_eq!(clean(&"x".repeat(1000)).len(), MAX_TEXT);
    }

    proptest! {
        #[test]
        fn what_is_escaped_reads_as_what_it_was(text in "[^\\p{Cc}\u{fffe}\u{ffff}]{0,40}") {
            let written = format!("<a b=\"{0}\">{0}</a>", escape(&text));
            let document = Document::parse(&written).unwrap();
            prop_assert_eq!(document.root_element().text().unwrap_or_default(), &text);
            prop_assert_eq!(document.root_element().attribute("b").unwrap(), &text);
        }
    }
}
