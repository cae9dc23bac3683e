//! Messages that can be large travel in pieces: each small enough for the buffers on the way, the whole within a bound.

use prost::Message;

use crate::v1::{Ack, Acknowledged, Hello, Update};

/// Pieces are cut at this size. 1 MiB: some thousands of resources, and a fraction of what a stream may have under way.
pub const PIECE_BYTES: usize = 1024 * 1024;
/// The largest piece that is taken: one resource is not cut, and a list of authorities can be several MiB.
pub const MAX_PIECE_BYTES: usize = 16 * 1024 * 1024;
/// The largest whole that is taken: a million subscriptions, several times over.
pub const MAX_WHOLE_BYTES: usize = 512 * 1024 * 1024;

/// A message of lists that can be cut, and put together again.
pub trait Piecemeal: Message + Default {
    /// Takes a piece off the front; all pieces but the last say that more follow.
    fn cut(&mut self) -> Self;
    /// Whether it says that more pieces follow.
    fn is_continued(&self) -> bool;
    /// Puts `next` behind; whether it is of the same whole.
    fn append(&mut self, next: Self) -> bool;
}

/// Whole messages have these lists, in this order, and what is the same in all pieces.
macro_rules! piecemeal {
    ($($message:ident { $($list:ident),+ } $($same:ident)?;)+) => {
        $(impl Piecemeal for $message {
            fn cut(&mut self) -> Self {
                let mut room = Room::default();
                let mut piece = Self { $($list: room.fill(&mut self.$list),)+ $($same: self.$same,)? more: false };
                piece.more = $(!self.$list.is_empty())||+;
                piece
            }

            fn is_continued(&self) -> bool {
                self.more
            }

            fn append(&mut self, next: Self) -> bool {
                $(self.$list.extend(next.$list);)+
                self.more = next.more;
                true $(&& self.$same == next.$same)?
            }
        })+
    };
}

piecemeal! {
    Update { changed, removed } nonce;
    Ack { rejected } nonce;
    Hello { held, rejected };
    Acknowledged { changed, removed, rejected };
}

/// All pieces of `whole`, at least one.
pub fn of<M: Piecemeal>(whole: M) -> impl Iterator<Item = M> {
    let mut rest = Some(whole);
    std::iter::from_fn(move || {
        let piece = rest.as_mut()?.cut();
        if !piece.is_continued() {
            rest = None;
        }
        Some(piece)
    })
}

/// What stands around an entry at most: its tag, and its length. One that is empty takes room as well.
const AROUND_BYTES: usize = 6;

/// What a piece has room for: at least one entry, however large.
struct Room {
    bytes: usize,
    is_empty: bool,
}

impl Default for Room {
    fn default() -> Self {
        Self { bytes: PIECE_BYTES, is_empty: true }
    }
}

impl Room {
    /// The entries at the front of `list` that fit.
    fn fill<T: Message>(&mut self, list: &mut Vec<T>) -> Vec<T> {
        let fitting = list.iter().take_while(|entry| self.takes(entry.encoded_len() + AROUND_BYTES)).count();
        if fitting == list.len() { std::mem::take(list) } else { list.drain(..fitting).collect() }
    }

    fn takes(&mut self, bytes: usize) -> bool {
        let fits = self.is_empty || bytes <= self.bytes;
        // What does not fit ends the piece: nothing that comes later in the whole comes earlier in the pieces.
        self.bytes = if fits { self.bytes.saturating_sub(bytes) } else { 0 };
        self.is_empty = false;
        fits
    }
}

/// Pieces that have come, until they are whole.
pub struct Gathering<M> {
    whole: Option<M>,
    bytes: usize,
    max_bytes: usize,
}

/// Pieces that make no whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misfit {
    /// Together they are larger than what is taken.
    TooLarge,
    /// One of another whole came in between.
    Mixed,
}

impl std::fmt::Display for Misfit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::TooLarge => "the pieces of a message are too large together",
            Self::Mixed => "pieces of two messages are mixed",
        })
    }
}

impl std::error::Error for Misfit {}

impl<M: Piecemeal> Gathering<M> {
    /// Takes at most `max_bytes` for one whole.
    pub fn within(max_bytes: usize) -> Self {
        Self { whole: None, bytes: 0, max_bytes }
    }

    /// Takes a piece in; the whole, if it was the last.
    pub fn add(&mut self, piece: M) -> Result<Option<M>, Misfit> {
        // A piece of nothing still costs: an endless row of them ends as well.
        self.bytes = self.bytes.saturating_add(piece.encoded_len().max(1));
        if self.bytes > self.max_bytes {
            return Err(Misfit::TooLarge);
        }
        let is_last = !piece.is_continued();
        let is_same = match &mut self.whole {
            Some(whole) => whole.append(piece),
            empty => {
                *empty = Some(piece);
                true
            }
        };
        match (is_same, is_last) {
            (false, _) => Err(Misfit::Mixed),
            (true, false) => Ok(None),
            (true, true) => {
                self.bytes = 0;
                Ok(self.whole.take())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::v1::{Rejected, ResourceName, VersionedResource};

    fn resource(bytes: usize) -> VersionedResource {
        VersionedResource { resource: vec![7; bytes].into(), ..VersionedResource::default() }
    }

    fn update(sizes: &[usize], removed: usize) -> Update {
        let name = ResourceName { kind: 1, name: "n".repeat(1000) };
        Update {
            nonce: 5,
            changed: sizes.iter().map(|size| resource(*size)).collect(),
            removed: vec![name; removed],
            more: false,
        }
    }

    #[test]
    fn nothing_is_one_piece() {
        assert_eq!(of(update(&[], 0)).collect::<Vec<_>>(), [update(&[], 0)]);
    }

    #[test]
    fn an_entry_larger_than_a_piece_travels_alone() {
        let pieces: Vec<_> = of(update(&[10, 3 * PIECE_BYTES, 10], 0)).collect();
        assert_eq!(pieces.iter().map(|piece| piece.changed.len()).collect::<Vec<_>>(), [1, 1, 1]);
        assert_eq!(pieces.iter().map(|piece| piece.more).collect::<Vec<_>>(), [true, true, false]);
    }

    #[test]
    fn pieces_of_two_messages_are_told_apart() {
        let mut gathering = Gathering::within(MAX_WHOLE_BYTES);
        assert_eq!(gathering.add(Update { more: true, ..update(&[1], 0) }), Ok(None));
        assert_eq!(gathering.add(Update { nonce: 6, ..update(&[1], 0) }), Err(Misfit::Mixed));
    }

    #[test]
    fn a_whole_that_is_too_large_is_not_taken() {
        let mut gathering = Gathering::within(2500);
        let piece = || Update { more: true, ..update(&[1000], 0) };
        assert_eq!(gathering.add(piece()), Ok(None));
        assert_eq!(gathering.add(piece()), Ok(None));
        assert_eq!(gathering.add(piece()), Err(Misfit::TooLarge));
    }

    #[test]
    fn pieces_of_nothing_come_to_an_end() {
        let mut gathering = Gathering::within(100);
        let mut empty = std::iter::repeat_with(|| gathering.add(Hello { more: true, ..Hello::default() }));
        assert_eq!(empty.by_ref().take(101).last(), Some(Err(Misfit::TooLarge)));
    }

    #[test]
    fn one_bound_is_for_one_whole() {
        let mut gathering = Gathering::within(1100);
        for _ in 0..3 {
            assert_eq!(gathering.add(update(&[1000], 0)), Ok(Some(update(&[1000], 0))));
        }
    }

    #[test]
    fn what_is_empty_does_not_follow_what_fills_a_piece() {
        let sizes: Vec<_> = of(update(&[PIECE_BYTES * 5 / 4, 0], 1)).map(|piece| piece.changed.len()).collect();
        assert_eq!(sizes, [1, 1]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn pieces_make_the_whole_again(
            sizes in prop::collection::vec(prop_oneof![0..2000usize, 0..PIECE_BYTES * 2], 0..8),
            removed in 0usize..3000,
        ) {
            let mut gathering = Gathering::within(MAX_WHOLE_BYTES);
            let pieces: Vec<_> = of(update(&sizes, removed)).collect();
            let last = pieces.len() - 1;
            for (index, piece) in pieces.into_iter().enumerate() {
                let entries = piece.changed.len() + piece.removed.len();
                prop_assert!(piece.encoded_len() < PIECE_BYTES + PIECE_BYTES / 4 || entries == 1);
                let whole = gathering.add(piece).unwrap();
                prop_assert_eq!(whole.is_some(), index == last);
                if let Some(whole) = whole {
                    prop_assert_eq!(whole, update(&sizes, removed));
                }
            }
        }

        #[test]
        fn refusals_are_cut_as_well(count in 0usize..5000) {
            let rejected = Rejected { name: None, why: "w".repeat(500) };
            let ack = Ack { nonce: 1, rejected: vec![rejected; count], more: false };
            let mut gathering = Gathering::within(MAX_WHOLE_BYTES);
            let whole = of(ack.clone()).filter_map(|piece| gathering.add(piece).unwrap()).last();
            prop_assert_eq!(whole, Some(ack));
        }
    }
}
