//! Path patterns of delegations, as glob(7) has them for paths: `*`, `?` and `[...]`, none of which matches a `/`.

/// Whether `path` is one that `pattern` means. Takes at most the product of both lengths, whatever the pattern.
pub(crate) fn matches(pattern: &str, path: &str) -> bool {
    let (mut patterns, mut parts) = (pattern.split('/'), path.split('/'));
    loop {
        match (patterns.next(), parts.next()) {
            (None, None) => return true,
            (Some(pattern), Some(part)) if segment(pattern, part) => {}
            _ => return false,
        }
    }
}

/// One segment. A star is tried with nothing first, then with one character more each time; only the last star needs that.
fn segment(pattern: &str, part: &str) -> bool {
    let (pattern, part): (Vec<char>, Vec<char>) = (pattern.chars().collect(), part.chars().collect());
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < part.len() {
        if pattern.get(p) == Some(&'*') {
            star = Some((p, t));
            p += 1;
        } else if let Some(length) = one(&pattern[p..], part[t]) {
            p += length;
            t += 1;
        } else if let Some((at, taken)) = star {
            star = Some((at, taken + 1));
            (p, t) = (at + 1, taken + 1);
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// How many characters of the pattern stand for `c`, if they do.
fn one(pattern: &[char], c: char) -> Option<usize> {
    match *pattern.first()? {
        '?' => Some(1),
        '[' => match set(&pattern[1..], c) {
            Some((inside, length)) => inside.then_some(length + 1),
            None => (c == '[').then_some(1), // never closed: an ordinary character
        },
        literal => (literal == c).then_some(1),
    }
}

/// Whether `c` is in the set that begins here, and how long the set is with its bracket.
fn set(pattern: &[char], c: char) -> Option<(bool, usize)> {
    let negated = pattern.first() == Some(&'!');
    let start = usize::from(negated);
    // A bracket that comes first is a member.
    let end = pattern.iter().skip(start + 1).position(|c| *c == ']')? + start + 1;
    let members = &pattern[start..end];
    let (mut inside, mut i) = (false, 0);
    while i < members.len() {
        if i + 2 < members.len() && members[i + 1] == '-' {
            inside |= (members[i]..=members[i + 2]).contains(&c);
            i += 3;
        } else {
            inside |= members[i] == c;
            i += 1;
        }
    }
    Some((inside != negated, end + 1))
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns_match_within_a_segment() {
        for (pattern, path, expected) in [
            ("*", "a", true),
            ("*", "a/b", false),
            ("*/*", "a/b", true),
            ("**", "a/b", false),
            ("targets/*.tgz", "targets/foo.tgz", true),
            ("targets/*.tgz", "targets/foo.txt", false),
            ("foo-version-?.tgz", "foo-version-a.tgz", true),
            ("foo-version-?.tgz", "foo-version-alpha.tgz", false),
            ("foo?bar", "foo/bar", false),
            ("*.tgz", "targets/foo.tgz", false),
            ("foo.tgz", "foo.tgz", true),
            ("foo.tgz", "FOO.tgz", false),
            ("a*b*c", "a__b__bc", true),
            ("a*b*c", "a__b__b", false),
            ("*a", "baa", true),
            ("", "", true),
            ("", "a", false),
            ("v[0-9]", "v7", true),
            ("v[!0-9]", "v7", false),
            ("v[]x]", "v]", true),
            ("v[0-9", "v[0-9", true),
            ("é*", "éa", true),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern} on {path}");
        }
    }

    #[test]
    fn many_stars_do_not_take_long() {
        assert!(!matches(&"*a".repeat(500), &"a".repeat(5_000).replace("aaaaaaaaaa", "aaaaaaaaab")));
        assert!(!matches(&format!("{}b", "*a".repeat(200)), &"a".repeat(20_000)));
    }
}
