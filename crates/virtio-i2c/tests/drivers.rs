// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What the log says of drivers that do not accept what they have to.

use std::process::Command;

use virtio_backend::testing::{Program, Vm, feature};

const DAEMON: &str = env!("CARGO_BIN_EXE_vhost-user-i2c");

const WARNING: &str = "warn: i2c: the driver did not accept VIRTIO_I2C_F_ZERO_LENGTH_REQUEST";

/// VIRTIO_F_VERSION_1 alone, as Zephyr's draft of 2026-07.
#[test]
fn a_driver_without_zero_length_requests_is_named_once_and_not_for_each_request() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("i2c");
    let mut command = Command::new(DAEMON);
    command.arg("--simulate").arg("--socket-path").arg(&socket);
    let daemon = Program::start(&mut command, 1);
    let features = feature::VERSION_1 | feature::PROTOCOL_FEATURES;
    let mut vm = Vm::boot(&socket, features, &[16]).unwrap();
    daemon.expect(WARNING);
    let ask = |vm: &mut Vm| {
        let [request, scan] = [[0xa0, 0, 0, 0, 2, 0, 0, 0], [0xa0, 0, 0, 0, 0, 0, 0, 0]];
        assert_eq!(vm.rings[0].ask(&[&request], &[1, 1]), Some(vec![0xff, 0]));
        assert_eq!(vm.rings[0].ask(&[&scan], &[1]), Some(vec![1]));
    };
    for _ in 0..10 {
        ask(&mut vm);
    }
    // A machine that was stopped and goes on has the same driver.
    let bases = vm.stop().unwrap();
    vm.start(&bases).unwrap();
    ask(&mut vm);
    // A guest that starts drivers again and again does not fill the log.
    for _ in 0..10 {
        vm.reboot().unwrap();
        ask(&mut vm);
    }
    drop(vm);
    let (code, log) = daemon.terminate();
    assert_eq!(code, Some(0));
    let resets = log.iter().filter(|line| line.contains("i2c: reset"));
    assert_eq!(resets.count(), 10, "{log:?}");
    let named = log.iter().filter(|line| line.contains("ZERO_LENGTH"));
    assert_eq!(named.count(), 0, "{log:?}");
}
