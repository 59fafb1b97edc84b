//! Reading from C streams; libc reads their descriptors by calls of its own, which pass no wrapper.

use std::ffi::{c_char, c_int, c_void};

use libc::FILE;

use super::look::reads_stream;

wrap! {
    fread(into: *mut c_void, size: usize, count: usize, stream: *mut FILE) -> usize => reads_stream(stream);
    __fread_chk(into: *mut c_void, room: usize, size: usize, count: usize, stream: *mut FILE) -> usize
        => reads_stream(stream);
    fgets(into: *mut c_char, room: c_int, stream: *mut FILE) -> *mut c_char => reads_stream(stream);
    __fgets_chk(into: *mut c_char, size: usize, room: c_int, stream: *mut FILE) -> *mut c_char
        => reads_stream(stream);
    getline(line: *mut *mut c_char, room: *mut usize, stream: *mut FILE) -> isize => reads_stream(stream);
    getdelim(line: *mut *mut c_char, room: *mut usize, end: c_int, stream: *mut FILE) -> isize
        => reads_stream(stream);
    __getdelim(line: *mut *mut c_char, room: *mut usize, end: c_int, stream: *mut FILE) -> isize
        => reads_stream(stream);
}
