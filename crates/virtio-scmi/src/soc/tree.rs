// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What runs because something that depends on it does: clocks, power domains.
//!
//! Somebody who wants a clock wants what it comes from. So nobody stops what another one uses by letting go of what
//! they both depend on.

/// Nodes, of which each runs while it is wanted itself or something below it runs. There are no circles.
#[derive(Debug, Default)]
pub(super) struct Tree {
    nodes: Vec<Node>,
}

#[derive(Debug)]
struct Node {
    parent: Option<u16>,
    wanted: bool,
    /// Reasons for it to run: that it is wanted, and each node below it that runs.
    reasons: u32,
}

impl Tree {
    pub(super) fn new(parents: impl Iterator<Item = Option<u16>>) -> Self {
        let node = |parent| Node {
            parent,
            wanted: false,
            reasons: 0,
        };
        Self {
            nodes: parents.map(node).collect(),
        }
    }

    pub(super) fn runs(&self, node: u16) -> bool {
        let node = self.nodes.get(usize::from(node));
        node.is_some_and(|node| node.reasons != 0)
    }

    pub(super) fn parent(&self, node: u16) -> Option<u16> {
        self.nodes.get(usize::from(node))?.parent
    }

    pub(super) fn want(&mut self, node: u16, wanted: bool) {
        let Some(one) = self.nodes.get_mut(usize::from(node)) else {
            return;
        };
        if one.wanted != wanted {
            one.wanted = wanted;
            self.count(Some(node), wanted);
        }
    }

    pub(super) fn set_parent(&mut self, node: u16, parent: u16) {
        let runs = self.runs(node);
        let Some(one) = self.nodes.get_mut(usize::from(node)) else {
            return;
        };
        let before = one.parent.replace(parent);
        if runs {
            // Not stopped in between if both are the same.
            self.count(Some(parent), true);
            self.count(before, false);
        }
    }

    /// One reason more or fewer, which may be one for what is above too.
    fn count(&mut self, mut node: Option<u16>, more: bool) {
        while let Some(one) = node.and_then(|node| self.nodes.get_mut(usize::from(node))) {
            let before = one.reasons;
            one.reasons = match more {
                true => before.saturating_add(1),
                false => before.saturating_sub(1),
            };
            if (before == 0) == (one.reasons == 0) {
                return;
            }
            node = one.parent;
        }
    }
}
