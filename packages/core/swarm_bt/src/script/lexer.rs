//! Text to tokens. The grammar of numbers and names is that of BehaviorTree.CPP's `script_tokenizer.cpp`.

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Token<'a> {
    Integer(i64),
    Real(f64),
    Bool(bool),
    Str(&'a str),
    Name(&'a str),
    /// An operator or a bracket, as written.
    Op(&'static str),
}

/// A token and the byte at which it begins.
pub(super) type Spanned<'a> = (usize, Token<'a>);

/// Longest first: `..` must be seen before `.` could be.
const OPERATORS: [&str; 29] = [
    "..", "&&", "||", "==", "!=", "<=", ">=", ":=", "+=", "-=", "*=", "/=", "+", "-", "*", "/", "&", "|",
    "^", "~", "!", "<", ">", "=", "?", ":", "(", ")", ";",
];

/// The tokens of `source`, or the byte offset and text of what is none.
pub(super) fn tokenize(source: &str) -> Result<Vec<Spanned<'_>>, (usize, String)> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(c) = source[at..].chars().next() {
        let rest = &source[at..];
        if matches!(c, ' ' | '\t' | '\n' | '\r') {
            at += 1;
            continue;
        }
        let (token, length) = if c == '\'' {
            let end =
                rest[1..].find('\'').ok_or_else(|| (at, "string without a closing quote".to_owned()))?;
            (Token::Str(&rest[1..=end]), end + 2)
        } else if c.is_ascii_digit() {
            number(rest).map_err(|text| (at, format!("'{text}' is not a number")))?
        } else if c.is_ascii_alphabetic() || c == '_' || c == '@' {
            let length = 1 + rest[1..].bytes().take_while(|&b| is_name(b)).count();
            let token = match &rest[..length] {
                "true" => Token::Bool(true),
                "false" => Token::Bool(false),
                name => Token::Name(name),
            };
            (token, length)
        } else {
            let op = OPERATORS.iter().find(|op| rest.starts_with(**op));
            let op = op.ok_or_else(|| (at, format!("unexpected character '{c}'")))?;
            (Token::Op(op), op.len())
        };
        tokens.push((at, token));
        at += length;
    }
    Ok(tokens)
}

fn is_name(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_'
}

/// The number at the beginning of `text` and its length, or the piece of text that looks like one and is none.
fn number(text: &str) -> Result<(Token<'_>, usize), &str> {
    let bytes = text.as_bytes();
    let digits = |from: usize| bytes[from..].iter().take_while(|b| b.is_ascii_digit()).count();
    // What one takes for a single word: letters, digits, and a dot that is not the operator `..`.
    let word = || {
        let mut end = 0;
        while let Some(&b) = bytes.get(end) {
            let dot = b == b'.' && bytes.get(end + 1) != Some(&b'.');
            if !(is_name(b) || dot) {
                break;
            }
            end += 1;
        }
        &text[..end.max(1)]
    };
    let ends = |end: usize| !bytes.get(end).is_some_and(|&b| is_name(b) || b == b'@');

    if text.starts_with("0x") || text.starts_with("0X") {
        let end = 2 + bytes[2..].iter().take_while(|b| b.is_ascii_hexdigit()).count();
        let dot = bytes.get(end) == Some(&b'.');
        let value = i64::from_str_radix(&text[2..end], 16).ok().filter(|_| ends(end) && !dot);
        return value.map(|v| (Token::Integer(v), end)).ok_or_else(word);
    }
    let mut end = digits(0);
    let mut real = false;
    if bytes.get(end) == Some(&b'.') && bytes.get(end + 1) != Some(&b'.') {
        let fraction = digits(end + 1);
        if fraction == 0 {
            return Err(word());
        }
        real = true;
        end += 1 + fraction;
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let exponent = digits((end + 1 + sign).min(bytes.len()));
        if exponent == 0 {
            return Err(word());
        }
        real = true;
        end += 1 + sign + exponent;
    }
    if !ends(end) {
        return Err(word());
    }
    let token = if real {
        text[..end].parse().ok().map(Token::Real)
    } else {
        text[..end].parse().ok().map(Token::Integer)
    };
    token.map(|t| (t, end)).ok_or(&text[..end])
}
