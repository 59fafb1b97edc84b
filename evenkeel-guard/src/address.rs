//! Addresses of code as other programs can look them up: by file, without what the loader has added to them.
//!
//! A stripped program cannot name its own lines. Where its debug information was kept, the addresses of a report do.

#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
use crate::sys::{Module, modules};

/// How many addresses a report has: what a database does on the way to a file is some twenty calls deep.
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
const SHOWN: usize = 24;

/// Libraries of the system, whose addresses say nothing of the program.
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
const SYSTEM: &[&str] = &["libc.so", "libc-", "libpthread", "libm.so", "libgcc_s", "ld-linux", "linux-vdso"];

/// Where the code of a stack lies, and in which build.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Locations {
    /// *Shape*: `shop+0x1a2b3`, a file's name and an address as the file itself counts them. Innermost first; each is
    /// inside the call, not behind it.
    pub(crate) addresses: Vec<String>,
    /// What the linker named the build of the innermost one by.
    pub(crate) build_id: Option<String>,
}

/// The places of a stack, given as addresses that calls return to.
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(crate) fn places(stack: &[usize]) -> Locations {
    let modules = modules();
    let inside = stack.iter().filter_map(|at| {
        let at = (*at as u64).checked_sub(1)?;
        let module = modules.iter().find(|module| module.code.contains(&at))?;
        let name = file_name(module)?;
        let is_system = SYSTEM.iter().any(|system| name.starts_with(system));
        (!is_system).then(|| (module, format!("{name}+{:#x}", at - module.bias)))
    });
    let inside: Vec<_> = inside.take(SHOWN).collect();
    let build_id = inside.first().and_then(|(module, _)| module.build_id());
    Locations { addresses: inside.into_iter().map(|(_, address)| address).collect(), build_id }
}

/// The loader gives the program itself no name.
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
fn file_name(module: &Module) -> Option<String> {
    if module.name.is_empty() {
        let program = std::env::current_exe().ok()?;
        return Some(program.file_name()?.to_string_lossy().into_owned());
    }
    Some(module.name.rsplit('/').next().unwrap_or_default().to_owned())
}

/// Elsewhere nothing is known of the modules.
#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
pub(crate) fn places(_stack: &[usize]) -> Locations {
    Locations::default()
}

#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stack_has_addresses_of_the_programs_own_file_and_its_build() {
        let mut stack = [0; 64];
        let count = crate::sys::addresses_here(&mut stack);
        let Locations { addresses, build_id } = places(&stack[..count]);
        let program = std::env::current_exe().expect("tests have a file");
        let name = program.file_name().expect("a name").to_string_lossy().into_owned();
        assert!(!addresses.is_empty() && addresses.len() <= SHOWN, "{addresses:?}");
        let length = std::fs::metadata(&program).expect("the file is there").len();
        for address in &addresses {
            let inside = address.strip_prefix(&format!("{name}+0x")).expect("the program's own");
            let inside = u64::from_str_radix(inside, 16).expect("a number");
            assert!(inside > 0 && inside < length, "{address}");
        }
        // The linker of this platform leaves one unless told not to.
        assert!(build_id.is_none_or(|id| id.len() >= 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit())));
        assert_eq!(places(&[0, 1, usize::MAX]), Locations::default());
    }
}
