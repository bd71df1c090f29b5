//! XML as BehaviorTree.CPP reads it: trees in the wild have `code="a && b"` and `_skipIf="x < 3"`, which its parser takes as
//! written though XML asks for `&amp;` and `&lt;`. They are put in before the text is parsed; places in messages stay those of
//! the text as it came.

use std::borrow::Cow;

/// Attributes of one element, namespaces included.
pub(super) const MAX_ATTRIBUTES: usize = 256;

/// A text in which every `&` and `<` is where XML allows it.
#[derive(Debug)]
pub(super) struct Mended<'t> {
    pub(super) text: Cow<'t, str>,
    /// Where an element has more than [`MAX_ATTRIBUTES`]: what compares them with each other would take very long.
    pub(super) crowded: Option<usize>,
    /// Behind which byte of `text` how many bytes more than in the original have been put in, from the front on.
    extra: Vec<(usize, usize)>,
}

impl Mended<'_> {
    /// The byte of the original that stands at `offset` here.
    pub(super) fn original(&self, offset: usize) -> usize {
        let before = self.extra.partition_point(|(at, _)| *at < offset);
        match before.checked_sub(1).and_then(|last| self.extra.get(last)) {
            Some((_, extra)) => offset - extra,
            None => offset,
        }
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

pub(super) fn mend(text: &str) -> Mended<'_> {
    let bytes = text.as_bytes();
    let mut mended = Mended { text: Cow::Borrowed(text), crowded: None, extra: Vec::new() };
    let mut out = String::new();
    let (mut inside, mut at, mut copied, mut extra, mut attributes) = (Inside::Text, 0, 0, 0, 0);
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
                    // A document type: refused, whatever is in it.
                    return Mended { text: Cow::Borrowed(text), crowded: None, extra: Vec::new() };
                }
                inside = Inside::Tag;
                attributes = 0;
                None
            }
            (Inside::Tag, b'>') => {
                inside = Inside::Text;
                None
            }
            (Inside::Tag, b'"' | b'\'') => {
                inside = Inside::Value(byte);
                attributes += 1;
                if attributes > MAX_ATTRIBUTES && mended.crowded.is_none() {
                    mended.crowded = Some(at);
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
            mended.extra.push((at - 1 + extra, extra));
        }
    }
    if !mended.extra.is_empty() {
        out.push_str(&text[copied..]);
        mended.text = Cow::Owned(out);
    }
    mended
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
    use super::mend;

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
            (r#"<!DOCTYPE a><a b="&"/>"#, r#"<!DOCTYPE a><a b="&"/>"#),
            ("<!-- never closed &", "<!-- never closed &"),
            ("<a < b", "<a < b"),
            ("ü & ü", "ü &amp; ü"),
        ];
        for (text, expected) in rows {
            assert_eq!(mend(text).text, expected);
        }
    }

    #[test]
    fn places_are_those_of_the_original() {
        let text = r#"<a b="x && y" c="<" d="z"/>"#;
        let mended = mend(text);
        for c in ["a", "x", "y", "c", "d", "z"] {
            let (here, there) = (mended.text.find(c), text.find(c));
            assert_eq!(here.map(|at| mended.original(at)).map(|at| &text[at..=at]), Some(c));
            assert!(here >= there);
        }
        assert_eq!(mended.original(mended.text.len()), text.len());
    }
}
