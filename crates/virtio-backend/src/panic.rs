// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A device that panics costs its own guest and no other: what a panic ends is one guest's session.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::Device;

/// What a panic was raised with.
pub(crate) type Panic = Box<dyn Any + Send>;

/// Does something for one guest. What was in use when it panicked is of that guest alone, and is used no
/// more than it takes to let go of it.
pub(crate) fn caught<T>(act: impl FnOnce() -> T) -> Result<T, Panic> {
    catch_unwind(AssertUnwindSafe(act))
}

/// What `panic` says.
#[cfg(feature = "daemon")]
pub(crate) fn reason(panic: &Panic) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no reason was given")
}

/// Ends a device that panicked, or may: it has its hardware do what it does when nobody uses it, if it
/// still can.
pub(crate) fn let_go(mut device: Box<dyn Device>) {
    // What a second panic says is on standard error.
    drop(caught(|| device.disconnected()));
    drop(caught(move || drop(device)));
}
