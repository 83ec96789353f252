// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! `vhost-user-watchdog`: knows when a virtual machine has failed, and does something about it.
#![forbid(unsafe_code)]

mod needs;
mod options;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, anyhow, ensure};
use log::warn;
use virtio_backend::daemon::{self, Blame, Daemon, Fault, NoTables};
use virtio_backend::{Device, Watch};
use virtio_rng::{Source, System};
use virtio_watchdog::{
    Action, Control, Plan, Records, Seconds, Settings, Stage, Supervisor, Watchdog,
};

use options::Options;

/// A guest that pings ten times in a second is busy enough.
const SHORTEST: Duration = Duration::from_millis(100);

/// The longest timeout, unless the configuration says more.
const LONGEST: Duration = Duration::from_secs(3600);

/// How long a failure counts at least, unless the configuration says.
const WINDOW: Duration = Duration::from_secs(900);

/// How long a command may take: to tell somebody, or to restart a machine in the background.
const COMMAND: Duration = Duration::from_secs(30);

/// How soon what could not be done is tried again. As often as failures are not too many, so that a
/// monitor has a few minutes to come back.
const PAUSE: Duration = Duration::from_secs(30);

/// Each ping looks at all of them.
const CHANNELS: u16 = 256;

/// Why nothing is said to a guest.
const DEAF: &str = "a guest whose watchdog is carried by another device hears no event";

struct Watchdogs;

impl Daemon for Watchdogs {
    const TYPE: &'static str = "watchdog";
    const ABOUT: &'static str = "Watchdogs for virtual machines: a virtio watchdog device over vhost-user, and what to do \
         about a guest that failed";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const EXAMPLES: &'static str = "\
Actions. With @SECONDS, the next follows if the guest is neither reset nor gone after so many, or
the dump is not written:
  event       tell the driver that a timer has expired
  nmi         a non-maskable interrupt (--qmp, --api)
  dump=FILE   write the guest's memory, to FILE and the time (--qmp, --api)
  reset       reset the machine (--qmp, --api)
  powerdown   press its power button (--qmp, --api)
  stop        pause it, for somebody to look at (--qmp, --api)
  quit        end QEMU or cloud-hypervisor (--qmp, --api)
  term, kill  signal the process that holds our socket
  exec=COMMAND ARGUMENT…   run a command, for 30 s at most, without a shell; it finds the guest's
              name in VIRTIO_WATCHDOG_GUEST, and why in VIRTIO_WATCHDOG_CAUSE
  unit=UNIT   restart a unit of systemd
  notify, notify=SOCKET    tell systemd, or send the record as a datagram

Examples:
  vhost-user-watchdog --socket-path /run/wd.sock --timeout 30 --qmp /run/qmp.sock
  vhost-user-watchdog --socket-path /run/wd.sock --boot-timeout 120 --lock \\
      --qmp /run/qmp.sock --stage nmi@20 --stage reset@30 --stage kill --last stop
  vhost-user-watchdog --config /etc/vhost-user-watchdog.toml

A configuration file:
  [[guest]]
  name = \"cluster\"
  socket = \"/run/watchdog/cluster.sock\"
  timeout = 30
  boot-timeout = 120
  qmp = \"/run/cluster/qmp.sock\"
  stage = [\"nmi@20\", \"reset@30\", [\"exec\", \"/usr/bin/logger\", \"cluster has failed\"], \"kill\"]

QEMU, whose guest has no watchdog driver but reads entropy (--carrier rng), and a guest with QEMU's
own watchdog (--relay):
  -chardev socket,id=wd,path=/run/wd.sock -device vhost-user-rng-pci,chardev=wd
  -object memory-backend-memfd,id=ram,size=1G,share=on -machine memory-backend=ram
  -qmp unix:/run/qmp.sock,server=on,wait=off
  -device i6300esb -action watchdog=none";

    type Options = Options;
    type Tables = NoTables;
    type Host = ();

    fn host(_tables: NoTables) -> Result<(), Fault> {
        Ok(())
    }

    fn device(
        _host: &mut (),
        guest: &str,
        options: Options,
        watch: &Watch,
    ) -> Result<Box<dyn Device>, Fault> {
        let settings = settings(&options)?;
        let carrier = options.carrier.map(|_| Box::new(System::new(guest)));
        let carrier = carrier.map(|source| -> Box<dyn Source> { source });
        let plan = plan(guest, options)?;
        if settings.boot_timeout.is_some() && plan.control.is_none() {
            warn!(
                "{guest}: boot-timeout without a qmp or an api: a machine that is paused as it boots \
                 seems to hang, and one that hangs after a reset is not noticed before its driver is \
                 there again"
            );
        }
        if let Some(missing) = needs::missing(&plan.stages, plan.last.as_ref()) {
            warn!("{guest}: {missing}: what needs it fails until it is there");
        }
        let supervisor = Supervisor::new(plan, watch).blame("stage")?;
        let watchdog = Watchdog::new(guest, settings, Box::new(supervisor), carrier, watch);
        Ok(Box::new(watchdog.blame("timeout")?))
    }
}

fn settings(options: &Options) -> Result<Settings, Fault> {
    let timeout = options.timeout.0;
    let max_timeout = options.max_timeout.map(|time| time.0);
    let max_timeout = max_timeout.unwrap_or_else(|| timeout.max(LONGEST));
    if timeout < SHORTEST || timeout > max_timeout {
        let why = anyhow!(
            "is not between 0.1 and {} seconds",
            max_timeout.as_secs_f64()
        );
        return Err(why).blame("timeout");
    }
    if options.pretimeout.0 >= timeout {
        return Err(anyhow!("is not below the timeout")).blame("pretimeout");
    }
    if options.boot_timeout.is_some_and(|time| time.0.is_zero()) {
        return Err(anyhow!("no guest boots in no time")).blame("boot-timeout");
    }
    if options.lock && options.boot_timeout.is_none() {
        let why = anyhow!("needs a boot-timeout: or a guest gets away by resetting its device");
        return Err(why).blame("lock");
    }
    if !(1..=CHANNELS).contains(&options.channels) {
        return Err(anyhow!("is not between 1 and {CHANNELS}")).blame("channels");
    }
    if options.carrier.is_some() {
        carried(options)?;
    }
    Ok(Settings {
        channels: options.channels,
        timeout,
        pretimeout: options.pretimeout.0,
        min_timeout: SHORTEST,
        max_timeout,
        boot_timeout: options.boot_timeout.map(|time| time.0),
        lock: options.lock,
        max_suspend: Some(options.max_suspend.0),
    })
}

/// What another device does not carry.
fn carried(options: &Options) -> Result<(), Fault> {
    let channels = options.channels;
    if channels > 1 {
        let why = "a guest whose watchdog is carried by another device pings channel 0 only";
        return Err(anyhow!("is {channels}, and can be 1: {why}")).blame("channels");
    }
    if !options.pretimeout.0.is_zero() {
        return Err(anyhow!("can be 0 only: {DEAF}")).blame("pretimeout");
    }
    Ok(())
}

fn plan(guest: &str, options: Options) -> Result<Plan, Fault> {
    let control = match (options.qmp, options.api) {
        (Some(_), Some(_)) => return Err(anyhow!("there is a qmp already")).blame("api"),
        (Some(path), None) => {
            needs::socket(&path).blame("qmp")?;
            Some(Control::Qmp(path))
        }
        (None, Some(path)) => {
            needs::socket(&path).blame("api")?;
            Some(Control::Api(path))
        }
        (None, None) => None,
    };
    if options.relay && !matches!(control, Some(Control::Qmp(_))) {
        return Err(anyhow!("needs a qmp")).blame("relay");
    }
    let boot_timeout = options.boot_timeout.map_or(Duration::ZERO, |time| time.0);
    let window = window(options.reset_window, options.max_resets, boot_timeout)?;
    let settled = |action| Stage {
        action,
        settle: Duration::from_secs(10),
    };
    let mut stages = options.stage;
    if stages.is_empty() {
        if control.is_none() {
            let why = "say what to do about a guest that failed, or give `qmp` or `api`";
            return Err(anyhow!(why)).blame("stage");
        }
        stages = vec![settled(Action::Reset), settled(Action::Kill)];
    }
    let has_events = options.carrier.is_none();
    for (element, stage) in stages.iter().enumerate() {
        possible(&stage.action, control.is_some(), has_events)
            .blame("stage")
            .map_err(|fault| fault.element(element))?;
    }
    let last = options.last;
    if let Some(stage) = &last {
        possible(&stage.action, control.is_some(), has_events).blame("last")?;
    }
    let stop = control.as_ref().map(|_| settled(Action::Stop));
    let record = options.record.map(|path| {
        let at = path.display().to_string();
        Records::open(path).context(at)
    });
    Ok(Plan {
        guest: guest.to_owned(),
        last: last.or(stop),
        control,
        stages,
        command_limit: COMMAND,
        pause: PAUSE,
        max_resets: options.max_resets,
        window,
        boot_timeout: options.boot_timeout.map(|time| time.0),
        firmware_reset: options.firmware_reset.0,
        kdump_timeout: options.kdump_timeout.0,
        relay: options.relay,
        record: record.transpose().blame("record")?,
    })
}

/// How long a failure counts: as long as it takes to fail too often.
fn window(
    given: Option<Seconds>,
    max_resets: u32,
    boot_timeout: Duration,
) -> Result<Duration, Fault> {
    let boots = boot_timeout.saturating_mul(max_resets);
    let window = given.map_or_else(|| WINDOW.max(boots.saturating_mul(2)), |time| time.0);
    if window < boots {
        let why = "is shorter than max-resets times the boot-timeout: a guest that never boots \
                   would be reset for ever";
        return Err(anyhow!(why)).blame("reset-window");
    }
    Ok(window)
}

/// Whether something can be done at all.
fn possible(action: &Action, has_control: bool, has_events: bool) -> anyhow::Result<()> {
    ensure!(
        has_control || !action.needs_control(),
        "{} needs a qmp or an api",
        action.word()
    );
    ensure!(has_events || *action != Action::Event, "{DEAF}");
    needs::check(action).map(drop).context(action.word())
}

fn main() -> ExitCode {
    daemon::main::<Watchdogs>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_counts_for_as_long_as_it_takes_to_fail_too_often() {
        let seconds = Duration::from_secs;
        let check = |given: Option<u64>, boot_timeout, expected| {
            let given = given.map(|given| Seconds(seconds(given)));
            let window = window(given, 5, seconds(boot_timeout)).ok();
            assert_eq!(window, expected);
        };
        check(None, 0, Some(seconds(900)));
        check(None, 90, Some(seconds(900)));
        check(None, 300, Some(seconds(3000)));
        check(Some(1500), 300, Some(seconds(1500)));
        check(Some(1499), 300, None);
        check(Some(0), 0, Some(seconds(0)));
    }
}
