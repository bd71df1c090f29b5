//! CPUs that do not sleep so deeply that waking takes long.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};

use rustix::io::Errno;

use super::lack::{Lack, What};

/// Kernel documentation, power/pm_qos_interface: the wish holds as long as the file is open.
const DEVICE: &str = "/dev/cpu_dma_latency";

/// While this lives, the CPUs of the whole machine wake without delay, at the price of electricity.
#[derive(Debug)]
pub struct AwakeCpus {
    _wish: File,
}

/// Asks that no CPU rests in a state that takes time to leave. `cyclictest` asks the same while it runs, for everybody.
pub fn keep_cpus_awake() -> Result<AwakeCpus, Lack> {
    let lack = |found: String, error: Option<std::io::Error>| Lack {
        what: What::CpuLatency,
        asked: "CPUs that wake in 0 us".to_owned(),
        found,
        errno: error.as_ref().and_then(Errno::from_io_error),
        mend: format!(
            "let the group realtime write {DEVICE}: a udev rule `KERNEL==\"cpu_dma_latency\", GROUP=\"realtime\", \
             MODE=\"0660\"`; or boot with `intel_idle.max_cstate=0` or `idle=poll`"
        ),
    };
    let ask = || {
        let mut device = OpenOptions::new().read(true).write(true).open(DEVICE)?;
        device.write_all(&0i32.to_ne_bytes())?;
        let mut in_force = [0; 4];
        device.read_exact(&mut in_force)?;
        Ok((device, i32::from_ne_bytes(in_force)))
    };
    match ask() {
        Ok((device, 0)) => Ok(AwakeCpus { _wish: device }),
        Ok((_, us)) => Err(lack(format!("{us} us in force"), None)),
        Err(error) => Err(lack(format!("{DEVICE} out of reach"), Some(error))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wish_is_in_force_while_it_is_held_or_the_lack_says_why_not() {
        let in_force = || {
            let mut bytes = [0; 4];
            File::open(DEVICE)
                .and_then(|mut device| device.read_exact(&mut bytes))
                .map(|()| i32::from_ne_bytes(bytes))
        };
        match keep_cpus_awake() {
            Ok(held) => {
                assert_eq!(in_force().unwrap(), 0);
                drop(held);
            }
            // It needs root or the udev rule, and a kernel with power management.
            Err(lack) => {
                assert_eq!(lack.what, What::CpuLatency);
                assert!(lack.errno.is_some() && lack.mend.contains("udev"), "{lack}");
            }
        }
    }
}
