//! One binary for everything that needs more than one stage.

mod recordings;
mod story;
