// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A line of the host's kernel, requested while it is used.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use virtio_backend::{Timer, Token, Watch};

use super::{Request, Shared, is};
use crate::{Pin, Settings, Usage};

/// How often a line is tried that is not used as it is to be.
const RETRY: Duration = Duration::from_secs(1);

pub(super) struct LinuxPin {
    chip: Arc<Shared>,
    offset: u32,
    settings: Settings,
    watch: Watch,
    token: Token,
    /// What the line is to be used for.
    usage: Usage,
    /// Nothing while the line is free, or lost.
    request: Option<Box<dyn Request>>,
    /// Its events are not watched.
    mute: bool,
    /// Expires when that is to be tried again.
    retry: Option<Timer>,
}

impl LinuxPin {
    pub(super) fn new(
        chip: Arc<Shared>,
        offset: u32,
        settings: Settings,
        watch: Watch,
        token: Token,
    ) -> Self {
        Self {
            chip,
            offset,
            settings,
            watch,
            token,
            usage: Usage::Free,
            request: None,
            mute: false,
            retry: None,
        }
    }

    fn request(&mut self, usage: Usage) -> io::Result<Box<dyn Request>> {
        let request = self.chip.request(self.offset, &self.settings, usage)?;
        if let Some(event) = request.event() {
            self.watch.add(event, self.token)?;
        }
        self.mute = false;
        self.chip.note(false);
        Ok(request)
    }

    /// The line as it was requested, or requested again if it was lost.
    fn requested(&mut self) -> io::Result<&mut Box<dyn Request>> {
        let request = match self.request.take() {
            Some(request) => request,
            None => self.request(self.usage)?,
        };
        Ok(self.request.insert(request))
    }

    fn event(&self) -> Option<BorrowedFd<'_>> {
        self.request.as_ref().and_then(|request| request.event())
    }

    fn listen(&mut self) -> io::Result<()> {
        if let (true, Some(event)) = (self.mute, self.event()) {
            self.watch.add(event, self.token)?;
        }
        self.mute = false;
        Ok(())
    }

    /// Has the line requested, and used as it is to be.
    fn reconfigure(&mut self) -> io::Result<()> {
        if let Some(request) = &mut self.request {
            if request.configure(self.usage)? {
                return Ok(());
            }
            // First it has to be let go.
            self.request = None;
        }
        self.requested()?;
        Ok(())
    }

    /// Lets a line go whose chip is gone, before its end is reported without end. Whatever failed on
    /// a line that is used, the device is to look at it again: it may wait for what it did not see.
    /// So it is with a line that has no events, which nobody else says is gone.
    fn check<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        if result.is_err() && self.is_gone() {
            self.request = None;
            self.chip.note(true);
        }
        if (result.is_err() || self.event().is_none()) && self.usage != Usage::Free {
            let timer = match self.retry.take() {
                Some(timer) => timer,
                None => self.watch.timer(self.token),
            };
            self.retry.insert(timer).arm(RETRY);
        }
        result
    }

    /// Whether the chip is gone. By itself the error does not tell: ENODEV and ENXIO are also what
    /// Linux says of edges where there are no interrupts.
    fn is_gone(&self) -> bool {
        match &self.request {
            Some(request) => request.value().is_err_and(|error| is(&error, Errno::NODEV)),
            None => self.chip.line(self.offset).is_err(),
        }
    }
}

impl Pin for LinuxPin {
    fn configure(&mut self, usage: Usage) -> io::Result<()> {
        if usage == Usage::Free {
            self.usage = usage;
            self.request = None;
            self.retry = None;
            return Ok(());
        }
        self.usage = usage;
        let configured = self.listen().and_then(|()| self.reconfigure());
        self.check(configured)
    }

    fn value(&mut self) -> io::Result<bool> {
        if self.usage == Usage::Free {
            return self.request(Usage::Free)?.value();
        }
        let value = self.requested().and_then(|request| request.value());
        match (&value, self.usage) {
            // What Linux says of a chip that cannot be asked.
            (Err(error), Usage::Output(level)) if is(error, Errno::IO) => Ok(level),
            _ => self.check(value),
        }
    }

    fn edge(&mut self) -> io::Result<bool> {
        if self.usage == Usage::Free {
            return Ok(false);
        }
        self.listen()?;
        // Also what could not be had when it was asked for.
        let edge = self.reconfigure().and_then(|()| self.requested()?.edge());
        self.check(edge)
    }

    fn mute(&mut self) -> io::Result<()> {
        if let (false, Some(event)) = (self.mute, self.event()) {
            self.watch.remove(event)?;
            self.mute = true;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::{AsFd, OwnedFd};

    use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
    use rustix::io::retry_on_intr;

    use super::super::{Abi, Which};
    use super::*;
    use crate::Edges;

    const TOKEN: Token = Token(7);

    /// A line that cannot be read, and keeps its edges.
    struct Unreadable(OwnedFd);

    impl Request for Unreadable {
        fn configure(&mut self, _usage: Usage) -> io::Result<bool> {
            Ok(true)
        }

        fn value(&self) -> io::Result<bool> {
            Err(Errno::IO.into())
        }

        fn edge(&mut self) -> io::Result<bool> {
            Ok(false)
        }

        fn event(&self) -> Option<BorrowedFd<'_>> {
            Some(self.0.as_fd())
        }
    }

    fn unreadable() -> (LinuxPin, Watch) {
        let chip = Shared {
            which: Which::Label("board".to_owned()),
            label: "board".to_owned(),
            count: 1,
            abi: Abi::V2,
            lost: false.into(),
        };
        let watch = Watch::new().unwrap();
        let settings = Settings::default();
        let mut pin = LinuxPin::new(Arc::new(chip), 0, settings, watch.clone(), TOKEN);
        pin.usage = Usage::Input(Edges::Rising);
        let event = eventfd(0, EventfdFlags::empty()).unwrap();
        watch.add(&event, TOKEN).unwrap();
        pin.request = Some(Box::new(Unreadable(event)));
        (pin, watch)
    }

    /// Whether the watch says something within this time.
    fn says(watch: &Watch, limit: Duration) -> bool {
        let limit = Timespec::try_from(limit).unwrap();
        let mut fds = [PollFd::new(watch, PollFlags::IN)];
        retry_on_intr(|| poll(&mut fds, Some(&limit))).unwrap() > 0
    }

    #[test]
    fn a_line_whose_level_could_not_be_read_is_looked_at_again() {
        let (mut pin, watch) = unreadable();
        assert!(pin.value().is_err());
        assert!(says(&watch, 5 * RETRY));
    }

    #[test]
    fn edges_of_a_mute_line_wake_nobody_until_it_is_asked_for_them() {
        let (mut pin, watch) = unreadable();
        for _ in 0..2 {
            pin.mute().unwrap();
        }
        rustix::io::write(pin.event().unwrap(), &1u64.to_ne_bytes()).unwrap();
        assert!(!says(&watch, Duration::ZERO));
        pin.edge().unwrap();
        assert!(says(&watch, Duration::ZERO));
    }
}
