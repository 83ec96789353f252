// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What runs because something that depends on it does: clocks, power domains.
//!
//! Somebody who wants a clock wants what it comes from. So nobody stops what another one uses by letting go of what
//! they both depend on.

use scmi::ResourceId;

/// Nodes, of which each runs while it is wanted itself or something below it runs. There are no circles.
#[derive(Debug, Default)]
pub(super) struct Tree {
    nodes: Vec<Node>,
}

#[derive(Debug)]
struct Node {
    parent: Option<ResourceId>,
    wanted: bool,
    /// Reasons for it to run: that it is wanted, and each node below it that runs.
    reasons: u32,
}

impl Tree {
    pub(super) fn new(parents: impl Iterator<Item = Option<ResourceId>>) -> Self {
        let node = |parent| Node {
            parent,
            wanted: false,
            reasons: 0,
        };
        Self {
            nodes: parents.map(node).collect(),
        }
    }

    pub(super) fn runs(&self, node: ResourceId) -> bool {
        let node = self.nodes.get(usize::from(node.0));
        node.is_some_and(|node| node.reasons != 0)
    }

    pub(super) fn parent(&self, node: ResourceId) -> Option<ResourceId> {
        self.nodes.get(usize::from(node.0))?.parent
    }

    pub(super) fn want(&mut self, node: ResourceId, wanted: bool) {
        let Some(one) = self.nodes.get_mut(usize::from(node.0)) else {
            return;
        };
        if one.wanted != wanted {
            one.wanted = wanted;
            self.count(Some(node), wanted);
        }
    }

    pub(super) fn set_parent(&mut self, node: ResourceId, parent: ResourceId) {
        let runs = self.runs(node);
        let Some(one) = self.nodes.get_mut(usize::from(node.0)) else {
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
    fn count(&mut self, mut node: Option<ResourceId>, more: bool) {
        while let Some(one) = node.and_then(|node| self.nodes.get_mut(usize::from(node.0))) {
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
