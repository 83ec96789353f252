// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What the engine's parts call each other's things. Each number has a type of its own, so that none can be taken for
//! another.

/// An agent: its place in [`Memory::agents`](crate::Memory::agents).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AgentId(pub u16);

impl AgentId {
    /// The platform itself, of its own accord.
    pub const PLATFORM: Self = Self(u16::MAX);
}

/// A resource of the platform, by the platform's number within its [`Kind`]. An agent's number for it is another one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct ResourceId(pub u16);

/// A grant: its place in [`Memory::grants`](crate::Memory::grants).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GrantId(pub(crate) u16);

impl GrantId {
    /// The end of a list of grants.
    pub(crate) const NONE: Self = Self(u16::MAX);
}

/// SCMI's number of a protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProtocolId(pub u8);

impl ProtocolId {
    /// What no other protocol of SCMI has: the low bits.
    pub(crate) fn slot(self) -> usize {
        usize::from(self.0 & 0xf)
    }
}

/// What resources are: clocks, sensors. A protocol has any number of kinds, and its file names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind(pub(crate) u8);

impl Kind {
    /// In the order of their protocols' numbers.
    pub const ALL: [Self; 5] = [Self(0), Self(1), Self(2), Self(3), Self(4)];

    /// How many there are.
    pub const COUNT: usize = Self::ALL.len();

    /// A resource of this kind.
    pub(crate) fn at(self, resource: ResourceId) -> Target {
        Target {
            kind: self,
            resource,
        }
    }
}

/// A resource among those of all kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) kind: Kind,
    pub(crate) resource: ResourceId,
}

/// One of something for each kind of resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PerKind<T>([T; Kind::COUNT]);

impl<T> PerKind<T> {
    /// What `make` returns for each kind.
    pub fn from_fn(make: impl FnMut(Kind) -> T) -> Self {
        Self(Kind::ALL.map(make))
    }

    /// The one of a kind.
    #[expect(clippy::indexing_slicing, reason = "there is no kind beyond the last")]
    pub fn of(&self, kind: Kind) -> &T {
        &self.0[usize::from(kind.0).min(Kind::COUNT - 1)]
    }

    /// All of them, in the order of the kinds.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.0.iter_mut()
    }

    /// The one of a kind, to change it.
    #[expect(clippy::indexing_slicing, reason = "there is no kind beyond the last")]
    pub fn of_mut(&mut self, kind: Kind) -> &mut T {
        &mut self.0[usize::from(kind.0).min(Kind::COUNT - 1)]
    }
}

/// A version of SCMI, which is a version of each protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Profile {
    /// SCMI 2.0.
    V2_0,
    /// SCMI 3.0, with voltage domains.
    V3_0,
    /// SCMI 3.1, with long names and notifications of clock rates.
    V3_1,
    /// SCMI 3.2, with parents of clocks. What Linux since 6.12 speaks.
    #[default]
    V3_2,
}

impl Profile {
    pub(crate) const ALL: [Self; 4] = [Self::V2_0, Self::V3_0, Self::V3_1, Self::V3_2];
}
