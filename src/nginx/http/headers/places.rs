//! Where each header of a long list is, so that taking one out does not need a walk to it.

use std::collections::HashMap;

use super::list::HeaderList;
use super::node::Node;
use super::part::Part;
use super::removal::Cut;
use crate::nginx::core::pool::{OutOfMemory, Pool};

pub struct Places {
    /// The part that each node is in.
    parts: HashMap<Node, Part>,
    /// The part before each part but the first.
    before: HashMap<Part, Part>,
}

impl Places {
    pub fn of(list: HeaderList) -> Result<Places, OutOfMemory> {
        let mut places = Places { parts: HashMap::new(), before: HashMap::new() };
        places.parts.try_reserve(list.len())?;
        let mut before = None;
        let mut next = list.first_part();
        while let Some(part) = next {
            for node in part.nodes() {
                places.parts.insert(node, part);
            }
            places.follows(part, before)?;
            (before, next) = (Some(part), part.next());
        }
        Ok(places)
    }

    /// Notes that `part` comes after `before`, or first.
    fn follows(&mut self, part: Part, before: Option<Part>) -> Result<(), OutOfMemory> {
        self.before.try_reserve(1)?;
        if let Some(before) = before {
            self.before.insert(part, before);
        }
        Ok(())
    }

    /// `node` was added to the list, in `part`; the last part was `last` before that.
    pub fn added(&mut self, node: Node, part: Part, last: Part) -> Result<(), OutOfMemory> {
        self.parts.try_reserve(1)?;
        self.parts.insert(node, part);
        self.follows(part, (part != last).then_some(last))
    }

    /// Takes `node` out of `list`.
    ///
    /// # Errors
    /// Out of memory, or the list is not what it was.
    pub fn take(&mut self, list: HeaderList, pool: Pool, node: Node) -> Result<(), OutOfMemory> {
        let part = self.parts.get(&node).copied().ok_or(OutOfMemory)?;
        let before = self.before.get(&part).copied();
        let index = part.nodes().position(|other| other == node).ok_or(OutOfMemory)?;
        self.before.try_reserve(1)?;
        match list.take(pool, before, part, index)? {
            Cut::Shorter => {}
            Cut::Split(tail) => self.split(part, tail),
            Cut::Gone => {
                self.before.remove(&part);
                if let (Some(before), Some(next)) = (before, part.next()) {
                    self.before.insert(next, before);
                }
            }
        }
        self.parts.remove(&node);
        Ok(())
    }

    /// `part` has been split: `tail` is a new part, of what was behind the removed node.
    fn split(&mut self, part: Part, tail: Part) {
        for node in tail.nodes() {
            if let Some(of_node) = self.parts.get_mut(&node) {
                *of_node = tail;
            }
        }
        self.before.insert(tail, part);
        if let Some(next) = tail.next() {
            self.before.insert(next, tail);
        }
    }
}
