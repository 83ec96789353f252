// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The vhost-user transport: guests' sockets, their sessions, their rings.
//!
//! All that the core knows of vhost, virtio-queue and vm-memory is in this folder.
//!
//! A request goes from [`worker`] (its kick) by [`guest`] and [`queues`] to [`ring`] and [`chain`], and
//! its answer back from [`ring`]. A message goes from [`worker`] by [`guest`] and [`connection`] to
//! [`session`], [`layout`] or [`regions`], which have it done by [`queues`].

mod chain;
mod chains;
mod connection;
#[cfg(feature = "testing")]
mod dialogue;
#[cfg(feature = "testing")]
mod direct;
mod dirty;
#[cfg(feature = "testing")]
mod floor;
mod guest;
mod inflight;
mod layout;
mod locked;
mod lost;
mod memory;
mod notice;
mod peer;
mod place;
mod queues;
mod regions;
mod ring;
mod session;
mod sharing;
mod slices;
mod source;
mod worker;

#[cfg(feature = "testing")]
pub use self::dialogue::Dialogue;
#[cfg(feature = "testing")]
pub use self::direct::Direct;
#[cfg(feature = "testing")]
pub use self::floor::{Floor, Waits};
pub(crate) use self::guest::{Service, Settings};
pub(crate) use self::lost::survive;
pub(crate) use self::worker::{Place, Workers};

/// QEMU's virtio-mmio lets the guest choose this many entries.
const MAX_QUEUE_SIZE: u16 = 1024;

/// Feature bits that the transport knows.
mod feature {
    use vhost::vhost_user::VhostUserVirtioFeatures;
    use virtio_bindings::bindings::virtio_config::{VIRTIO_F_ACCESS_PLATFORM, VIRTIO_F_VERSION_1};
    use virtio_bindings::bindings::virtio_ring::{
        VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC,
    };

    pub(super) const INDIRECT_DESC: u64 = 1 << VIRTIO_RING_F_INDIRECT_DESC;
    pub(super) const EVENT_IDX: u64 = 1 << VIRTIO_RING_F_EVENT_IDX;
    pub(super) const VERSION_1: u64 = 1 << VIRTIO_F_VERSION_1;
    pub(super) const ACCESS_PLATFORM: u64 = 1 << VIRTIO_F_ACCESS_PLATFORM;
    pub(super) const LOG_ALL: u64 = VhostUserVirtioFeatures::LOG_ALL.bits();
    pub(super) const PROTOCOL_FEATURES: u64 = VhostUserVirtioFeatures::PROTOCOL_FEATURES.bits();
}
