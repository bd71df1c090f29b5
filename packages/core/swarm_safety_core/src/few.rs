//! A short list and a short name of fixed size, so that limits are plain data that can be copied and compared.

/// Up to `N` items.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Few<T, const N: usize> {
    items: [T; N],
    count: usize,
}

impl<T: Copy, const N: usize> Few<T, N> {
    /// An empty list; `filler` stands in the unused places.
    pub const fn empty(filler: T) -> Self {
        Self { items: [filler; N], count: 0 }
    }

    /// `None` if there are more than `N`.
    pub fn from_slice(items: &[T], filler: T) -> Option<Self> {
        let mut all = Self::empty(filler);
        for item in items {
            *all.items.get_mut(all.count)? = *item;
            all.count += 1;
        }
        Some(all)
    }

    pub fn as_slice(&self) -> &[T] {
        self.items.get(..self.count).unwrap_or(&[])
    }
}

/// A name of at most [`Label::MAX_BYTES`] bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Label {
    bytes: [u8; Self::MAX_BYTES],
    length: u8,
}

impl Label {
    pub const MAX_BYTES: usize = 31;

    pub const EMPTY: Self = Self { bytes: [0; Self::MAX_BYTES], length: 0 };

    /// `None` if the text is too long.
    pub fn new(text: &str) -> Option<Self> {
        let mut label = Self::EMPTY;
        label.bytes.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
        label.length = text.len() as u8;
        Some(label)
    }

    pub fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..usize::from(self.length)).unwrap_or(&[]);
        std::str::from_utf8(bytes).unwrap_or_default()
    }
}

impl std::fmt::Debug for Label {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_holds_up_to_its_size_and_refuses_more() {
        let list = Few::<_, 2>::from_slice(&[1, 2], 0).unwrap();
        assert_eq!(list.as_slice(), [1, 2]);
        assert!(Few::<_, 2>::from_slice(&[1, 2, 3], 0).is_none());
        assert!(Few::<_, 2>::empty(7).as_slice().is_empty());
    }

    #[test]
    fn a_label_keeps_its_text_or_refuses_it_whole() {
        let longest = "ä".repeat(15) + "x";
        assert_eq!(Label::new(&longest).unwrap().as_str(), longest);
        assert!(Label::new(&(longest + "y")).is_none());
        assert_eq!(Label::EMPTY.as_str(), "");
    }
}
