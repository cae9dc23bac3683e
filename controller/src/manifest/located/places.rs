//! Where the fields of a document stand: a node for each of them, without the path that leads to it, so that places take as much memory
//! as the document, however deep it nests and however long its names are.

use std::sync::Arc;

/// Line and column, both from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::manifest) struct Place {
    pub(in crate::manifest) line: u32,
    pub(in crate::manifest) column: u32,
}

/// The places in a document, or in an item of a list: all items of one list share its nodes.
#[derive(Clone, Default)]
pub(in crate::manifest) struct Places {
    nodes: Arc<Vec<Node>>,
    /// What the places are within.
    root: usize,
}

/// The nodes of a document while it is being read, each before those within it; the document itself is the first.
#[derive(Default)]
pub(super) struct Growing(Vec<Node>);

#[derive(Clone)]
struct Node {
    /// What a member is called; entries of lists have no name.
    name: Option<Arc<str>>,
    place: Place,
    /// How many nodes it is, with those within it.
    span: u32,
}

impl Growing {
    /// Adds a node, which is open until [`Self::close`]; where it is.
    pub(super) fn open(&mut self, name: Option<Arc<str>>, place: Place) -> usize {
        self.0.push(Node { name, place, span: 1 });
        self.0.len() - 1
    }

    /// Whatever has been added since is within the node at `at`.
    pub(super) fn close(&mut self, at: usize) {
        let span = u32::try_from(self.0.len() - at).unwrap_or(u32::MAX);
        if let Some(node) = self.0.get_mut(at) {
            node.span = span;
        }
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn grown(self) -> Places {
        Places { nodes: Arc::new(self.0), root: 0 }
    }
}

impl Places {
    /// Where `field` stands, or the nearest field around it. `None` if nothing is known.
    pub(in crate::manifest) fn nearest(&self, field: &str) -> Option<Place> {
        let (mut at, mut rest) = (self.root, field);
        while let Some((within, more)) = self.step(at, rest) {
            (at, rest) = (within, more);
        }
        self.nodes.get(at).map(|node| node.place)
    }

    /// Where exactly `field` stands.
    pub(super) fn of_member(&self, field: &str) -> Option<Place> {
        self.member(self.root, field).and_then(|at| self.nodes.get(at)).map(|node| node.place)
    }

    /// The places within each entry of the list `field` of the document.
    pub(super) fn of_entries(&self, field: &str) -> impl Iterator<Item = Self> {
        let list = self.member(self.root, field).into_iter();
        list.flat_map(|list| self.within(list)).map(|root| Self { nodes: Arc::clone(&self.nodes), root })
    }

    /// One name or one number further along `rest`; what is left of it then.
    fn step<'a>(&self, at: usize, rest: &'a str) -> Option<(usize, &'a str)> {
        if let Some((number, more)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            let entry = self.within(at).nth(number.parse().ok()?)?;
            return self.nodes.get(entry)?.name.is_none().then_some((entry, more));
        }
        let rest = rest.strip_prefix('.').unwrap_or(rest);
        let named = self.within(at).filter_map(|member| {
            let name = self.nodes.get(member)?.name.as_deref()?;
            let more = rest.strip_prefix(name).filter(|more| more.is_empty() || more.starts_with(['.', '[']))?;
            (!name.is_empty()).then_some((member, more))
        });
        // Names may hold dots: the longest one is meant.
        named.min_by_key(|(_, more)| more.len())
    }

    fn member(&self, at: usize, name: &str) -> Option<usize> {
        self.within(at).find(|member| self.nodes.get(*member).is_some_and(|node| node.name.as_deref() == Some(name)))
    }

    /// The nodes directly within one.
    fn within(&self, at: usize) -> impl Iterator<Item = usize> {
        let end = self.after(at);
        std::iter::successors(Some(at + 1), |at| Some(self.after(*at))).take_while(move |at| *at < end)
    }

    /// The first node that is not within one.
    fn after(&self, at: usize) -> usize {
        at + self.nodes.get(at).map_or(1, |node| node.span as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{documents, items};
    use super::*;

    fn places(text: &str) -> Places {
        documents(text).next().unwrap().ok().unwrap().places
    }

    #[test]
    fn the_nearest_field_around_what_is_asked_for() {
        let places = places("a:\n  b: [x, {c: y}, [z]]\n  b.c: 1\n  b.c.d: 2\n  '': 3\n'[0]': 4\n");
        for (field, place) in [
            ("", (1, 1)),
            ("nowhere", (1, 1)),
            ("ab", (1, 1)),
            ("a", (1, 1)),
            ("a.b", (2, 3)),
            ("a.bb", (1, 1)),
            ("a.b[0]", (2, 7)),
            ("a.b[1]", (2, 10)),
            ("a.b[1].c", (2, 11)),
            ("a.b[1].c.d[7]", (2, 11)),
            ("a.b[2][0]", (2, 19)),
            ("a.b[3]", (2, 3)),
            ("a.b[x]", (2, 3)),
            ("a.b[", (2, 3)),
            ("a.b.c", (3, 3)),
            ("a.b.c.d", (4, 3)),
            ("a.b.c.d.e", (4, 3)),
            ("a.b.c.e", (3, 3)),
            ("a.", (1, 1)),
            ("a[0]", (1, 1)),
        ] {
            let Some(Place { line, column }) = places.nearest(field) else { panic!("{field}") };
            assert_eq!((line, column), place, "{field}");
        }
        assert_eq!(Places::default().nearest("a"), None);
    }

    #[test]
    fn entries_of_a_list_have_the_places_within_them() {
        let text = "kind: List\napiVersion: v1\nitems:\n- {a: 1}\n- b: {c: 1}\n- 7\n";
        let items = items(documents(text).next().unwrap().ok().unwrap()).ok().unwrap();
        let found = items.iter().map(|item| ["", "a", "b.c"].map(|field| item.places.nearest(field).unwrap()));
        let found: Vec<_> = found.map(|places| places.map(|place| (place.line, place.column))).collect();
        assert_eq!(found, [[(4, 3), (4, 4), (4, 3)], [(5, 3), (5, 3), (5, 7)], [(6, 3), (6, 3), (6, 3)]]);
    }

    #[test]
    fn lists_in_lists_share_the_places_of_the_document() {
        let text = format!("{}{{a: 1}}{}", "{apiVersion: v1, kind: List, items: [7, ".repeat(30), "]}".repeat(30));
        let items = items(documents(&text).next().unwrap().ok().unwrap()).ok().unwrap();
        assert_eq!(items.len(), 31);
        assert!(items.iter().all(|item| Arc::ptr_eq(&item.places.nodes, &items[0].places.nodes)));
        let Some(Place { column, .. }) = items[30].places.nearest("a") else { panic!("it has no place") };
        assert_eq!(text.find("a: 1"), Some(column as usize - 1));
    }

    #[test]
    fn they_take_as_much_memory_as_the_document_however_long_the_way_to_them_is() {
        let names = "x".repeat(1000);
        let long = format!(
            "{}{}{}",
            format!("{{{names}: ").repeat(60),
            "[[]]".replace("[]", &"[],".repeat(10_000)),
            "}".repeat(60)
        );
        let places = places(&long);
        let of_names: usize = places.nodes.iter().filter_map(|node| node.name.as_deref()).map(str::len).sum();
        let bytes = places.nodes.len() * size_of::<Node>() + of_names;
        assert!(places.nodes.len() > 10_000 && bytes < 20 * long.len(), "{bytes} for {}", long.len());
    }
}
