//! The `evenkeel` command as people run it: a process with arguments, pipes and an exit code.

mod running;
mod demo;
mod misuse;
mod networks;
mod new;
mod doctor;
mod operator;
