// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The panic handler that a static library has to have. Nothing calls it, which a test makes sure of.

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
