// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Why a command failed.

/// Status codes other than SUCCESS (SCMI 3.2, status codes).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The protocol, the message, or what it asks for, is not supported.
    NotSupported = -1,
    /// A parameter is out of its definition, or a reserved bit is set.
    InvalidParameters = -2,
    /// The agent may not do that, or another agent would notice.
    Denied = -3,
    /// There is no such resource for this agent.
    NotFound = -4,
    /// An index is beyond the end.
    OutOfRange = -5,
    /// As much as possible is going on already.
    Busy = -6,
    /// The platform does not reach the hardware.
    CommsError = -7,
    /// For what has no status of its own.
    GenericError = -8,
    /// The hardware failed.
    HardwareError = -9,
    /// The message is too short, or leaves too little room for its response.
    ProtocolError = -10,
}

impl Status {
    /// The number on the wire.
    #[must_use]
    pub fn code(self) -> i32 {
        self as i32
    }

    /// The status of a number on the wire: `Err` unless it is SUCCESS.
    ///
    /// # Errors
    /// The status, which is `GenericError` for numbers that SCMI does not define.
    pub fn check(code: i32) -> Result<(), Self> {
        Err(match code {
            0 => return Ok(()),
            -1 => Self::NotSupported,
            -2 => Self::InvalidParameters,
            -3 => Self::Denied,
            -4 => Self::NotFound,
            -5 => Self::OutOfRange,
            -6 => Self::Busy,
            -7 => Self::CommsError,
            -9 => Self::HardwareError,
            -10 => Self::ProtocolError,
            _ => Self::GenericError,
        })
    }
}
