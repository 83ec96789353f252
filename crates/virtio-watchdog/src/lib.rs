// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The virtio watchdog device, which `SPEC.md` in this crate's folder describes.
#![forbid(unsafe_code)]
