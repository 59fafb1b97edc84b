//! How a wrapper finds its function, and the macro that writes wrappers.

use std::cell::Cell;
use std::ffi::CStr;
use std::sync::atomic::{AtomicPtr, Ordering};

use super::super::{Call, CallObserver, Mark, tell, watch};
use super::look::Finding;

/// A wrapper, as the tables list it.
pub(super) struct Row {
    pub(super) symbol: &'static str,
    pub(super) wrapper: Function,
    /// Looks up the function behind it.
    pub(super) bind: fn() -> *mut (),
}

/// The address of a function.
#[derive(Clone, Copy)]
pub(super) struct Function(
    #[cfg_attr(not(test), expect(dead_code, reason = "being here is what links the function"))]
    pub(super)  *const (),
);

// SAFETY: the address of code is the same on every thread.
unsafe impl Sync for Function {}

/// The function behind a wrapper.
///
/// It begins as the address of code that looks the function up, so that the fast path has no branch for it.
pub(super) struct Real(AtomicPtr<()>);

/// How deep looking up may nest on one thread: older `dlsym` allocate, and an allocator may come back here
/// through a lock or a file of its own.
const DEEPEST: u8 = 4;

thread_local! {
    static DEPTH: Cell<u8> = const { Cell::new(0) };
}

impl Real {
    pub(super) const fn new(first: *const ()) -> Self {
        Self(AtomicPtr::new(first.cast_mut()))
    }

    #[inline(always)]
    pub(super) fn address(&self) -> *mut () {
        // Relaxed: the address stands for code, which was there before the program started.
        self.0.load(Ordering::Relaxed)
    }

    /// Looks up `symbol`, in the named version where there are several that differ.
    ///
    /// `RTLD_NEXT` answers the oldest version of the first library that has the symbol. Where no library has
    /// it, or the search came back to itself, `absent` stands in.
    #[cold]
    pub(super) fn bind(&self, symbol: &CStr, version: Option<&CStr>, absent: *const ()) -> *mut () {
        let depth = DEPTH.get();
        if depth == DEEPEST {
            return absent.cast_mut();
        }
        DEPTH.set(depth + 1);
        let mut found = std::ptr::null_mut();
        if let Some(version) = version {
            // SAFETY: both names end in a zero.
            found = unsafe { libc::dlvsym(libc::RTLD_NEXT, symbol.as_ptr(), version.as_ptr()) };
        }
        if found.is_null() {
            // SAFETY: the name ends in a zero.
            found = unsafe { libc::dlsym(libc::RTLD_NEXT, symbol.as_ptr()) };
        }
        DEPTH.set(depth);
        let found = if found.is_null() { absent.cast_mut() } else { found.cast() };
        self.0.store(found, Ordering::Relaxed);
        found
    }
}

/// What a function answers that this libc does not have.
pub(super) trait Absent {
    fn absent() -> Self;
}

macro_rules! absent {
    ($($type:ty => $answer:expr;)*) => { $(
        impl Absent for $type {
            fn absent() -> Self {
                set_errno(libc::ENOSYS);
                $answer
            }
        }
    )* };
}

absent! {
    () => ();
    i32 => -1;
    u32 => 0;
    isize => -1;
    usize => 0;
    i64 => -1;
}

impl<T> Absent for *mut T {
    fn absent() -> Self {
        set_errno(libc::ENOSYS);
        std::ptr::null_mut()
    }
}

pub(super) fn errno() -> i32 {
    // SAFETY: it points to the calling thread's own errno.
    unsafe { *libc::__errno_location() }
}

pub(super) fn set_errno(code: i32) {
    // SAFETY: it points to the calling thread's own errno.
    unsafe { *libc::__errno_location() = code }
}

/// A call made under a set flag, which is off while this lives.
///
/// Nothing here is a destructor: a thread that is cancelled unwinds through the wrapper, and a frame without
/// destructors lets it.
pub(super) struct Aside {
    errno: i32,
    call: Option<Call>,
}

impl Aside {
    pub(super) fn new() -> Self {
        watch(false);
        Self { errno: errno(), call: None }
    }

    /// `self` lies in the frame that the wrapper has called, which is what marks the end of the guard's own frames.
    pub(super) fn before(&mut self, symbol: &'static str, wrapper: *const (), finding: Finding) {
        let mark = Mark { stack: std::ptr::from_ref(self).addr(), wrapper: wrapper.addr() };
        self.call = finding.map(|(class, at_least)| Call { symbol, class, at_least, mark });
        if let Some(call) = &self.call {
            tell(<dyn CallObserver>::before, call);
        }
        set_errno(self.errno);
    }

    /// The call has returned in the thread that made it.
    pub(super) fn after(self) {
        if let Some(call) = &self.call {
            let errno = errno();
            tell(<dyn CallObserver>::after, call);
            set_errno(errno);
        }
        watch(true);
    }

    /// The call was settled without waiting, and nothing was told.
    pub(super) fn settled(&self) {
        set_errno(self.errno);
        watch(true);
    }
}

/// Writes a wrapper for each row `name @ version (arguments) -> answer => finding, options;`.
///
/// The finding says what the call waits for, or `None`. `first` tries the same without waiting. `absent` is
/// done where this libc lacks the function. `child` says whether an answer is that of a forked child, in which
/// the flag stays off and nobody is told.
///
/// A variadic function is written with the arguments that it can have. On x86_64 and aarch64 Linux, variadic
/// integers and pointers travel as fixed ones do, so this is sound on these two only.
macro_rules! wrap {
    ($(
        $name:ident $(@ $version:literal)? ( $($argument:ident : $type:ty),* ) -> $answer:ty
        => $finding:expr $(, first $first:expr)? $(, absent $absent:expr)? $(, child $child:expr)? ;
    )*) => {
        $(
            #[allow(unused_unsafe, reason = "some rows look at no memory")]
            #[allow(clippy::too_many_arguments, clippy::unit_arg, reason = "libc says so")]
            mod $name {
                #[allow(unused_imports, reason = "some rows need no helper")]
                use super::*;
                use $crate::hook::is_watching;
                use $crate::hook::linked::wrap::{Absent, Aside, Function, Real, Row};

                type Signature = unsafe extern "C-unwind" fn($($type),*) -> $answer;

                static REAL: Real = Real::new(first_call as *const ());

                pub(super) const ROW: Row =
                    Row { symbol: stringify!($name), wrapper: Function($name as *const ()), bind };

                fn bind() -> *mut () {
                    const SYMBOL: &std::ffi::CStr =
                        match std::ffi::CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes()) {
                            Ok(symbol) => symbol,
                            Err(_) => panic!("an identifier has no zero"),
                        };
                    let version: Option<&std::ffi::CStr> = None $(.or(Some($version)))?;
                    REAL.bind(SYMBOL, version, absent as *const ())
                }

                #[inline(always)]
                fn real(address: *mut ()) -> Signature {
                    // SAFETY: only functions of this signature are ever bound under this name.
                    unsafe { std::mem::transmute::<*mut (), Signature>(address) }
                }

                #[unsafe(no_mangle)]
                unsafe extern "C-unwind" fn $name($($argument: $type),*) -> $answer {
                    if is_watching() {
                        // SAFETY: the caller vouches for its arguments.
                        return unsafe { told($($argument),*) };
                    }
                    // SAFETY: the caller vouches for its arguments.
                    unsafe { real(REAL.address())($($argument),*) }
                }

                #[cold]
                #[inline(never)]
                unsafe extern "C-unwind" fn told($($argument: $type),*) -> $answer {
                    let mut aside = Aside::new();
                    $(
                        // SAFETY: the caller vouches for its arguments.
                        if let Some(answer) = unsafe { $first } {
                            aside.settled();
                            return answer;
                        }
                    )?
                    // SAFETY: the caller vouches for its arguments.
                    let finding = unsafe { $finding };
                    aside.before(stringify!($name), $name as *const (), finding);
                    // SAFETY: the caller vouches for its arguments.
                    let answer = unsafe { real(REAL.address())($($argument),*) };
                    $(
                        if ($child)(answer) {
                            return answer;
                        }
                    )?
                    aside.after();
                    answer
                }

                #[cold]
                unsafe extern "C-unwind" fn first_call($($argument: $type),*) -> $answer {
                    // SAFETY: the caller vouches for its arguments.
                    unsafe { real(bind())($($argument),*) }
                }

                #[cold]
                unsafe extern "C-unwind" fn absent($($argument: $type),*) -> $answer {
                    let _ = ($($argument,)*);
                    // SAFETY: the caller vouches for its arguments.
                    let stand_in: Option<$answer> = unsafe { None $(.or_else(|| Some($absent)))? };
                    stand_in.unwrap_or_else(<$answer>::absent)
                }
            }
        )*

        pub(super) static ROWS: &[$crate::hook::linked::wrap::Row] = &[$($name::ROW),*];
    };
}
